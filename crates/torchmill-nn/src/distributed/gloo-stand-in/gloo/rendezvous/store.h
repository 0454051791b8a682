// PyTorch's wheels lack Gloo's headers. This is what c10d/ProcessGroupGloo.hpp names of the one of this name.
#pragma once
#include <chrono>
#include <string>
#include <vector>

namespace gloo::rendezvous {
// The layout is not Gloo's. The constructor and the destructor are defined nowhere, so code that would make a Store
// here does not link.
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
