// The library torchmill_nccl, which adds NCCL's backend to a process group. scripts/build-nccl compiles it. It is
// separate because it needs libtorch_cuda and NCCL, which the programs do not link to.
#define USE_C10D_NCCL
#include <cstring>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

// Makes a group send CUDA tensors through NCCL. Returns null, or an error message that the caller frees. `store` is a
// c10::intrusive_ptr<c10d::Store>* and `group` a c10d::ProcessGroup*, both of this library's libtorch.
extern "C" char* torchmill_add_nccl(const void* store, void* group, int rank, int size, int64_t timeout_ms) {
    try {
        auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/false);
        options->timeout = std::chrono::milliseconds(timeout_ms);
        auto* to = static_cast<c10d::ProcessGroup*>(group);
        options->group_name = to->getGroupName();
        const auto& from = *static_cast<const c10::intrusive_ptr<c10d::Store>*>(store);
        auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(from, rank, size, options);
        nccl->setSequenceNumberForGroup();
        to->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, {nccl});
        return nullptr;
    } catch (const c10::Error& e) {
        return strdup(e.what_without_backtrace());
    } catch (const std::exception& e) {
        return strdup(e.what());
    }
}
