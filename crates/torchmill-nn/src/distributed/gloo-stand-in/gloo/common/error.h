// PyTorch's wheels lack Gloo's headers. c10d/ProcessGroupGloo.hpp includes this header but uses nothing from it.
#pragma once
