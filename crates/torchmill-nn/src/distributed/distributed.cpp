// PyTorch's process groups and DistributedDataParallel's reducer, which tch does not bind.
#define USE_C10D_GLOO
#include "distributed.h"

#include <c10/util/Logging.h>

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <vector>

#include "torchmill-nn/src/distributed/bridge.rs.h"

namespace torchmill {

struct Store::Inner {
    c10::intrusive_ptr<c10d::Store> store;
};
struct ProcessGroup::Inner {
    c10::intrusive_ptr<c10d::ProcessGroup> group;
};
struct Reducer::Inner {
    std::unique_ptr<c10d::Reducer> reducer;
};

// DistributedDataParallel's defaults: the size of the first gradient bucket, of the other buckets, and of the buffers
// in which tensors are broadcast.
constexpr int64_t FIRST_BUCKET_BYTES = 1 << 20;
constexpr int64_t BUCKET_BYTES = 25 << 20;
constexpr size_t BROADCAST_BYTES = 250 << 20;

// libtorch logs a page of stack trace before it throws. The exception's message is enough.
void set_log_level() {
    if (getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
        FLAGS_caffe2_log_level = c10::GLOG_FATAL;
    } else {
        c10::initLogging();
    }
}

static std::unique_ptr<Store> to_store(c10::intrusive_ptr<c10d::Store> store, std::chrono::milliseconds timeout) {
    store->setTimeout(timeout);
    return std::make_unique<Store>(Store{std::make_shared<Store::Inner>(Store::Inner{std::move(store)})});
}

std::unique_ptr<Store> open_store(const StoreOptions& o) {
    const std::chrono::milliseconds timeout(o.timeout_ms);
    c10d::TCPStoreOptions options;
    options.port = o.port;
    options.isServer = o.socket >= 0;
    options.waitWorkers = false;
    options.timeout = timeout;
    if (o.socket >= 0) options.masterListenFd = o.socket;
    return to_store(c10::make_intrusive<c10d::TCPStore>(std::string(o.host), options), timeout);
}

std::unique_ptr<Store> hash_store(int64_t timeout_ms) {
    return to_store(c10::make_intrusive<c10d::HashStore>(), std::chrono::milliseconds(timeout_ms));
}

void store_set(const Store& store, rust::Str key, rust::Str value) {
    store.inner->store->set(std::string(key), std::string(value));
}

bool store_get(const Store& store, rust::Str key, rust::String& value) {
    // get() would wait for a missing key.
    if (!store.inner->store->check({std::string(key)})) return false;
    value = rust::String::lossy(store.inner->store->get_to_str(std::string(key)));
    return true;
}

// torch.distributed.init_process_group("gloo"). Without an address, Gloo uses PyTorch's default: the interface in
// GLOO_SOCKET_IFNAME, or the host name's address.
std::unique_ptr<ProcessGroup> open_group(const Store& store, const GroupOptions& o) {
    const std::chrono::milliseconds timeout(o.timeout_ms);
    const std::string prefix(o.prefix);
    c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>(prefix, store.inner->store);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(own, o.rank, o.size);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    if (o.address.empty()) {
        options = c10d::ProcessGroupGloo::Options::create_default(timeout);
    } else {
        options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(std::string(o.address)));
    }
    options->group_name = prefix;
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(own, o.rank, o.size, options);
    gloo->setSequenceNumberForGroup();
    using Type = c10d::ProcessGroup::BackendType;
    group->setBackend(c10::DeviceType::CPU, Type::GLOO, {gloo});
    group->setBackend(c10::DeviceType::CUDA, Type::GLOO, {gloo});
    group->setDefaultBackend(Type::GLOO);
    // Only after a backend is set, because the name is passed on to it.
    group->setGroupName(prefix);
    return std::make_unique<ProcessGroup>(
        ProcessGroup{std::make_shared<ProcessGroup::Inner>(ProcessGroup::Inner{std::move(group)})});
}

// The function in nccl/plugin.cpp.
using AddNccl = char*(const void* store, void* group, int rank, int size, int64_t timeout_ms);

// From here on, sends CUDA tensors through NCCL. libtorch_cuda must be loaded and the device set.
void add_nccl(const ProcessGroup& group, const Store& store, const GroupOptions& o, rust::Str library) {
    // It stays loaded until the process ends.
    void* loaded = dlopen(std::string(library).c_str(), RTLD_NOW);
    if (loaded == nullptr) throw std::runtime_error(dlerror());
    auto* add = reinterpret_cast<AddNccl*>(dlsym(loaded, "torchmill_add_nccl"));
    if (add == nullptr) throw std::runtime_error(dlerror());
    const std::string prefix(o.prefix);
    const c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>(prefix + "/nccl", store.inner->store);
    char* failure = add(&own, group.inner->group.get(), o.rank, o.size, o.timeout_ms);
    if (failure == nullptr) return;
    const std::string what(failure);
    free(failure);
    throw std::runtime_error(what);
}

std::unique_ptr<ProcessGroup> share_group(const ProcessGroup& group) { return std::make_unique<ProcessGroup>(group); }

static void all_reduce(const ProcessGroup& group, const at::Tensor& tensor, c10d::ReduceOp::RedOpType operation) {
    // Gloo sends the elements in memory order.
    TORCH_CHECK(tensor.is_non_overlapping_and_dense(), "all_reduce takes a tensor without gaps");
    std::vector<at::Tensor> tensors{tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = operation;
    group.inner->group->allreduce(tensors, options)->wait();
}

void all_reduce_sum(const ProcessGroup& group, const at::Tensor& tensor) {
    all_reduce(group, tensor, c10d::ReduceOp::SUM);
}

void all_reduce_max(const ProcessGroup& group, const at::Tensor& tensor) {
    all_reduce(group, tensor, c10d::ReduceOp::MAX);
}

void all_gather(const ProcessGroup& group, const at::Tensor& own, const TensorList& all) {
    std::vector<std::vector<at::Tensor>> outputs{all.tensors};
    std::vector<at::Tensor> inputs{own};
    group.inner->group->allgather(outputs, inputs)->wait();
}

void broadcast(const ProcessGroup& group, const TensorList& tensors) {
    at::NoGradGuard no_grad;
    c10d::broadcast_coalesced(group.inner->group, tensors.tensors, BROADCAST_BYTES, /*rank=*/0);
}

void barrier(const ProcessGroup& group) { group.inner->group->barrier()->wait(); }

// DistributedDataParallel._ddp_init_helper after the verification of the parameters, with the default options.
std::unique_ptr<Reducer> open_reducer(const ProcessGroup& group, const TensorList& list) {
    const auto& parameters = list.tensors;
    c10d::verify_params_across_processes(group.inner->group, parameters, {});
    const std::vector<bool> sparse(parameters.size(), false);
    // The first backward pass shows in which order the gradients arrive. Until then there is one bucket.
    const std::vector<size_t> limits{size_t(std::numeric_limits<int64_t>::max())};
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(parameters, limits, sparse));
    std::reverse(buckets.begin(), buckets.end());
    auto reducer = std::make_unique<c10d::Reducer>(
        parameters, buckets, group.inner->group, sparse, BUCKET_BYTES, /*find_unused_parameters=*/false,
        /*gradient_as_bucket_view=*/false, /*param_names=*/std::unordered_map<size_t, std::string>{},
        FIRST_BUCKET_BYTES, /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
        /*bucket_bytes_cap_list=*/std::vector<int64_t>{});
    return std::make_unique<Reducer>(
        Reducer{std::make_shared<Reducer::Inner>(Reducer::Inner{std::move(reducer)})});
}

void prepare_for_forward(const Reducer& reducer, bool reduces) {
    if (reduces) reducer.inner->reducer->prepare_for_forward();
    reducer.inner->reducer->rebuild_buckets();
}

void prepare_for_backward(const Reducer& reducer) { reducer.inner->reducer->prepare_for_backward({}); }

void check_finalized(const Reducer& reducer) { reducer.inner->reducer->check_finalized(); }

void backward(const at::Tensor& loss) { loss.backward(); }

// Takes the gradient that backward() left in a parameter. Null if there is none.
std::unique_ptr<at::Tensor> take_gradient(const at::Tensor& parameter) {
    auto& gradient = parameter.mutable_grad();
    if (!gradient.defined()) return nullptr;
    auto taken = std::make_unique<at::Tensor>(gradient);
    gradient.reset();
    return taken;
}

}  // namespace torchmill
