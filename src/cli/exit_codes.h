#pragma once

// How `godwit` ends. Scripts rely on these numbers.
namespace godwit::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,       // it could not be done
  kExitUsage = 2,        // the command line makes no sense
  kExitConfig = 3,       // a setting is impossible
  kExitNotReady = 4,     // `health`, `status`, `reload`: nothing answers, or not well
  kExitDifferent = 5,    // `copy`, `export`, `import`: the check at the end found differences
  kExitFindings = 6,     // `doctor` found a problem
  kExitUnconfirmed = 7,  // nothing was done: it destroys something, and --yes was not given
  kExitRunning = 8,      // `up`: the stack runs already

  // Of `rebuild-quotas`, as Kinto's.
  kExitQuotasReadonly = 41,
  kExitNoQuotas = 42,

  // Of `create-user`, as Kinto's.
  kExitReadonly = 51,
  kExitNoAccounts = 52,
  kExitAborted = 53,
};

}  // namespace godwit::cli
