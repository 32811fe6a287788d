// Small calls on sockets that more than one kind of listener makes.
#pragma once

#include <optional>

#include "godwit/result.h"
#include "supervise/listen_spec.h"

namespace godwit::supervise {

bool setInt(int fd, int level, int option, int value);
std::optional<int> getInt(int fd, int level, int option);

void keepOverExec(int fd);
void closeOnExec(int fd);

// A connection (or datagram) waits.
bool readable(int fd);
// Ends a connection so that the client sees a failure now, not a silence. Closes `fd`.
void resetConnection(int fd);
// The same with every connection that waits to be accepted; how many there were.
int resetQueue(int listen_fd);

// What --listen asks of each socket before bind.
Result<> prepareSocket(int fd, const ListenSpec& spec, int family);

}  // namespace godwit::supervise
