// The event log: one line for each event, in the file that CUDA_STAND_IN_LOG names.
//
// A line is `EVENT THREAD NAME: DETAILS`. EVENT is `kernel`, `allocate`, `seed`, `copy` or
// `wait`. A `wait` is an operation for which the calling thread would have to wait until a
// GPU has finished all earlier work. THREAD is the system's thread ID, and NAME the
// thread's name. The lines of waits and allocations end with the addresses of the callers
// in the program, for `addr2line -e PROGRAM`.
#pragma once

#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

namespace stand_in {

// A number from the environment, or `otherwise`.
inline uint64_t setting(const char* name, uint64_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

inline int log_file() {
    static const char* path = getenv("CUDA_STAND_IN_LOG");
    static const int file =
        path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    return file;
}

struct Range {
    uintptr_t begin = 0, end = 0;
};

// The addresses of the program itself, which is the first of the loaded objects.
inline const Range PROGRAM = [] {
    Range range;
    const auto measure = [](dl_phdr_info* object, size_t, void* found) {
        auto& range = *static_cast<Range*>(found);
        range.begin = range.end = object->dlpi_addr;
        for (int i = 0; i < object->dlpi_phnum; i++) {
            const auto& part = object->dlpi_phdr[i];
            range.end = std::max(range.end, range.begin + part.p_vaddr + part.p_memsz);
        }
        return 1;
    };
    dl_iterate_phdr(measure, &range);
    return range;
}();

// The callers in the program, as offsets in its file.
inline std::string callers() {
    std::ostringstream text;
    void* frames[64];
    const int count = backtrace(frames, 64);
    for (int i = 0; i < count; i++) {
        const auto address = uintptr_t(frames[i]);
        if (address < PROGRAM.begin || address >= PROGRAM.end) continue;
        text << " +" << std::hex << address - PROGRAM.begin;
    }
    return text.str();
}

// Writes a line. Lines from several threads do not mix.
template <typename... Details>
void log(const char* event, const Details&... details) {
    if (log_file() < 0) return;
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof name);
    std::ostringstream line;
    line << event << ' ' << gettid() << ' ' << name << ':';
    (line << ... << (line << ' ', details));
    const bool is_placed = strcmp(event, "wait") == 0 || strcmp(event, "allocate") == 0;
    if (is_placed) line << " from" << callers();
    line << '\n';
    const std::string text = line.str();
    if (write(log_file(), text.data(), text.size()) < 0) abort();
}

}  // namespace stand_in
