#pragma once

namespace godwit::supervise {

// Takes the program's code and constants out of this process's memory; they come back from the
// page cache as they are needed. Worth it when what follows is a long sleep.
void giveBackCode();

}  // namespace godwit::supervise
