// PyTorch's wheels lack Gloo's headers. These are the names that c10d/ProcessGroupGloo.hpp uses from this header.
#pragma once
#include <chrono>
#include <string>
#include <vector>

namespace gloo::rendezvous {
// The layout differs from Gloo's. The constructor and the destructor are declared but not defined, so code that would
// create a Store here does not link.
class Store {
public:
    Store();
    virtual ~Store();
    virtual void set(const std::string& key, const std::vector<char>& data) = 0;
    virtual std::vector<char> get(const std::string& key) = 0;
    virtual void wait(const std::vector<std::string>& keys) = 0;
    virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};
}  // namespace gloo::rendezvous
