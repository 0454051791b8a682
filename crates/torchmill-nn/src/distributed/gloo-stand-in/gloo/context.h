// PyTorch's wheels lack Gloo's headers. This is what c10d/ProcessGroupGloo.hpp names of the one of this name.
#pragma once
#include <chrono>

namespace gloo {
class Context {
public:
    Context() = delete;
    void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
