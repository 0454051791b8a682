// PyTorch's wheels lack Gloo's headers. These are the names that c10d/ProcessGroupGloo.hpp uses from this header.
#pragma once

namespace gloo::transport {
class Device;
class UnboundBuffer;
}  // namespace gloo::transport
