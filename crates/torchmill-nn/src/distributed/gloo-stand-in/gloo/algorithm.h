// PyTorch's wheels lack Gloo's headers. c10d/ProcessGroupGloo.hpp includes this one and uses nothing of it.
#pragma once
