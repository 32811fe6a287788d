#include "supervise/own_memory.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace godwit::supervise {

void giveBackCode() {
  auto each = [](dl_phdr_info* info, std::size_t, void*) {
    auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& p = info->dlpi_phdr[i];
      // Written pages would be lost; what was never writable is the file's.
      if (p.p_type != PT_LOAD || (p.p_flags & PF_W) != 0) continue;
      std::uintptr_t begin = (info->dlpi_addr + p.p_vaddr + page - 1) / page * page;
      std::uintptr_t end = (info->dlpi_addr + p.p_vaddr + p.p_memsz) / page * page;
      if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
  };
  ::dl_iterate_phdr(each, nullptr);
}

}  // namespace godwit::supervise
