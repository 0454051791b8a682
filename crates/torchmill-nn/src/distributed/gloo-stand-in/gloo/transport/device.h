// PyTorch's wheels lack Gloo's headers. This is what c10d/ProcessGroupGloo.hpp names of the one of this name.
#pragma once

namespace gloo::transport {
class Device;
class UnboundBuffer;
}  // namespace gloo::transport
