#pragma once

namespace godwit::metrics::detail {

struct Core;

// Keeps the pthread_atfork handlers informed of what exists. Any thread.
void guardFork(Core& core);
void unguardFork(Core& core);

}  // namespace godwit::metrics::detail
