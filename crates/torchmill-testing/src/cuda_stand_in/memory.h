// Device memory, and the host's pinned memory.
//
// Device memory is host memory, but its addresses have a bit set that the processor
// rejects. Using such an address outside a kernel or a copy ends the process, as with a
// GPU's memory. New memory is filled with ones, which are NaN as floats.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>

#include <csignal>
#include <map>
#include <mutex>

#include "log.h"

namespace stand_in {

// The number of devices.
inline const auto DEVICE_COUNT = c10::DeviceIndex(setting("CUDA_STAND_IN_DEVICES", 2));

inline thread_local c10::DeviceIndex current_device = 0;

inline c10::Device cuda(c10::DeviceIndex index) {
    return {c10::kCUDA, index};
}

// A bit that no x86-64 or arm64 address has set. The bits below it hold the device's index.
const uintptr_t DEVICE_BIT = uintptr_t(1) << 54;
const uintptr_t INDEX_UNIT = uintptr_t(1) << 49;

inline c10::DeviceIndex device_of(const void* address) {
    return (uintptr_t(address) & (DEVICE_BIT - 1)) / INDEX_UNIT;
}

// The host address of device memory.
inline void* host_address(const void* address) {
    return (void*)(uintptr_t(address) & (INDEX_UNIT - 1));
}

// Allocates on the thread's current device.
struct DeviceMemory final : c10::Allocator {
    static inline std::mutex mutex;
    static inline std::map<void*, size_t> sizes;
    static inline size_t used[16];

    static void release(void* address) {
        std::lock_guard lock(mutex);
        const auto block = sizes.find(address);
        used[device_of(address)] -= block->second;
        sizes.erase(block);
        free(host_address(address));
    }

    // Counts allocations. Fails the one that CUDA_STAND_IN_FAIL_AT names, and those that
    // exceed CUDA_STAND_IN_MEMORY bytes on a device.
    static void check_room(size_t bytes) {
        static const size_t limit = setting("CUDA_STAND_IN_MEMORY", SIZE_MAX);
        static const size_t fail_at = setting("CUDA_STAND_IN_FAIL_AT", 0);
        static size_t count = 0;
        count++;
        const size_t before = used[current_device];
        const bool fits = bytes <= limit && before <= limit - bytes;
        TORCH_CHECK_WITH(OutOfMemoryError, fits && count != fail_at,
                         "CUDA out of memory. Tried to allocate ", bytes, " bytes. GPU ",
                         int(current_device), " has ", before, " bytes allocated");
    }

    c10::DataPtr allocate(size_t bytes) override {
        if (bytes == 0) return {nullptr, cuda(current_device)};
        std::lock_guard lock(mutex);
        check_room(bytes);
        log("allocate", bytes, "bytes on", cuda(current_device));
        void* address = nullptr;
        TORCH_CHECK(posix_memalign(&address, 512, bytes) == 0, "the host has no memory");
        memset(address, 0xff, bytes);
        address =
            (void*)(uintptr_t(address) | DEVICE_BIT | current_device * INDEX_UNIT);
        sizes[address] = bytes;
        used[current_device] += bytes;
        return {address, address, &release, cuda(current_device)};
    }

    void copy_data(void* to, const void* from, size_t bytes) const override {
        memcpy(host_address(to), host_address(from), bytes);
    }
};

inline DeviceMemory device_memory;

// Host memory from and to which a GPU can copy asynchronously.
struct PinnedMemory final : c10::Allocator {
    static inline std::mutex mutex;
    static inline std::map<const char*, size_t> sizes;

    static void release(void* address) {
        std::lock_guard lock(mutex);
        sizes.erase((const char*)address);
        free(address);
    }

    static bool holds(const void* address) {
        std::lock_guard lock(mutex);
        auto next = sizes.upper_bound((const char*)address);
        if (next == sizes.begin()) return false;
        const auto& [start, size] = *--next;
        return (const char*)address < start + size;
    }

    c10::DataPtr allocate(size_t bytes) override {
        if (bytes == 0) return {nullptr, c10::kCPU};
        void* address = nullptr;
        TORCH_CHECK(posix_memalign(&address, 64, bytes) == 0, "the host has no memory");
        std::lock_guard lock(mutex);
        sizes[(const char*)address] = bytes;
        return {address, address, &release, c10::kCPU};
    }

    void copy_data(void* to, const void* from, size_t bytes) const override {
        memcpy(to, from, bytes);
    }
};

inline PinnedMemory pinned_memory;

// Reports that the host used device memory, with the callers. On x86-64 the processor does
// not tell which address it rejected.
inline void refuse_access(int, siginfo_t* info, void*) {
    if (info->si_code == SI_KERNEL || uintptr_t(info->si_addr) & DEVICE_BIT) {
        const char text[] = "CUDA stand-in: the host touched device memory, at\n";
        if (write(STDERR_FILENO, text, sizeof text - 1) < 0) abort();
        void* frames[64];
        backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    }
    signal(SIGSEGV, SIG_DFL);
}

inline const int handler_set = [] {
    struct sigaction action = {};
    action.sa_sigaction = refuse_access;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    return sigaction(SIGSEGV, &action, nullptr);
}();

}  // namespace stand_in
