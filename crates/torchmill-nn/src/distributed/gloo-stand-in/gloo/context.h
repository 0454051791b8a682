// PyTorch's wheels lack Gloo's headers. These are the names that c10d/ProcessGroupGloo.hpp uses from this header.
#pragma once
#include <chrono>

namespace gloo {
class Context {
public:
    Context() = delete;
    void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
