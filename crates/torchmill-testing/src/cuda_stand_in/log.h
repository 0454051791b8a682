// The event log: one line for each event, in the file that CUDA_STAND_IN_LOG names.
//
// A line is `EVENT THREAD NAME: DETAILS`. EVENT is `kernel`, `allocate`, `seed`, `copy` or
// `wait`. A `wait` is an operation for which the calling thread would have to wait until a
// GPU has finished all earlier work. THREAD is the system's thread ID, and NAME the
// thread's name. The line of a wait ends with the addresses of its callers in the program,
// for `addr2line -e PROGRAM`.
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

// The callers in the program itself, as offsets in its file.
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
