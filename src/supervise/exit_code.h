// What godwit-run tells its parent. The numbers are sysexits(3) where one fits; the child's own
// code (or 128 + signal) is passed on when it ended by itself and is not restarted.
#pragma once

namespace godwit::supervise {

inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage = 64;
inline constexpr int kExitGaveUp = 69;  // never ready with --restart=no, or --max-restarts exceeded
inline constexpr int kExitOs = 71;      // fork, epoll ...
inline constexpr int kExitCannotBind = 73;  // bind, listen, pidfile or control socket
inline constexpr int kExitAlreadyRunning = 75;
inline constexpr int kExitHadToKill = 124;  // only with --strict-stop
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

// Of `godwit-run reload --wait` and the other client verbs.
inline constexpr int kClientOk = 0;
inline constexpr int kClientFailed = 1;
inline constexpr int kClientTimeout = 2;
inline constexpr int kClientSuperseded = 3;
inline constexpr int kClientNoConnection = 4;
inline constexpr int kClientRefused = 5;
inline constexpr int kClientRolledBack = 6;

}  // namespace godwit::supervise
