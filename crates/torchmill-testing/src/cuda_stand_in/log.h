// The event log: one line for each event, in the file that CUDA_STAND_IN_LOG names.
//
// A line is `EVENT THREAD NAME: DETAILS`. EVENT is `kernel`, `allocate`, `seed`, `copy` or
// `wait`. `wait` is an operation for which the calling thread would have to wait until a
// GPU has done all the work given to it before. THREAD is the system's number of the
// thread, NAME its name. Waits end with the addresses in the program that led to them, for
// `addr2line -e PROGRAM`.
#pragma once

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

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

// The calls in the program itself that lead here, as offsets in its file.
inline std::string callers() {
    std::ostringstream text;
    void* frames[64];
    const int count = backtrace(frames, 64);
    for (int i = 0; i < count; i++) {
        Dl_info found;
        // Every other object has `.so` in its name.
        if (!dladdr(frames[i], &found) || strstr(found.dli_fname, ".so")) continue;
        const auto offset = uintptr_t(frames[i]) - uintptr_t(found.dli_fbase);
        text << " +" << std::hex << offset;
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
    if (strcmp(event, "wait") == 0) line << " from" << callers();
    line << '\n';
    const std::string text = line.str();
    if (write(log_file(), text.data(), text.size()) < 0) abort();
}

}  // namespace stand_in
