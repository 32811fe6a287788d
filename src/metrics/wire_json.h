#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "godwit/metrics/metrics.h"
#include "godwit/result.h"

// Kadabra 0.5.0's wire: one JSON text per Metrics, byte for byte what CPython's json.dumps makes of
// it, because its agents acknowledge by the re-serialised text. docs/metrics.md, "The wire".
namespace godwit::metrics {

// Appends the text. `extra` samples have no place on this wire and are left out. Timers are rounded
// to whole microseconds first (a timedelta holds no less). `serialized_at_ns` is used when
// m.serialized_at is empty.
void appendWireJson(std::string& out, const Metrics& m, TimeNs serialized_at_ns);

// Replaces `out`. Accepts any order of keys, integers for numbers, missing optional keys, unknown
// keys, raw UTF-8. kInvalid with the reason for everything else; never throws, nesting at most 32.
// Timestamps become explicit; acknowledge with the bytes received, never with a new text.
Result<void> parseWireJson(std::string_view text, Metrics& out);

// Python's repr(float): shortest digits, always a fraction or an exponent ("1.0", "1e+16", "-0.0").
// NaN and infinities as json.dumps writes them.
void appendPythonFloat(std::string& out, double v);
// A quoted ASCII-only JSON string as json.dumps writes it. Bytes that are not UTF-8 become U+FFFD.
void appendPythonString(std::string& out, std::string_view utf8);

}  // namespace godwit::metrics
