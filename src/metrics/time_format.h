#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "godwit/metrics/metrics.h"

// strftime and strptime of Python's datetime, UTC, locale C, for formats built of
// %Y %m %d %H %M %S %f %j %y %b %B %z %Z %%. Years 1 to 9999.
namespace godwit::metrics {

// Appends. Nanoseconds are cut to microseconds. %z and %Z print nothing, as for a naive datetime.
// Unknown directives are copied as they stand.
void appendTime(std::string& out, std::string_view format, TimeNs t);
// nullopt: does not match, out of range, or a directive that is not supported. %f takes 1 to 6
// digits; %z takes Z, +hhmm, +hh:mm, +hh:mm:ss and is applied; %Z takes UTC and GMT.
std::optional<TimeNs> parseTime(std::string_view format, std::string_view text);

}  // namespace godwit::metrics
