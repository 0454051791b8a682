// The function of single_thread.rs.
#include <ATen/Parallel.h>

#include "kernels.h"

namespace torchmill {

void use_single_thread() {
    // A thread gets its number when it first needs it, from the one that was set last. libtorch and this program keep
    // separate notes of whether that has happened. Both must happen before the number is set.
    at::get_num_threads();
    at::internal::lazy_init_num_threads();
    at::set_num_threads(1);
}

}  // namespace torchmill
