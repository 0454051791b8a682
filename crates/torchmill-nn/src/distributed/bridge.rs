//! The functions in distributed.cpp. cxx declares them in both languages.

#[cxx::bridge(namespace = "torchmill")]
pub(super) mod ffi {
    /// How to reach the store.
    struct StoreOptions {
        host: String,
        port: u16,
        /// A listening socket for the server process; -1 for a client. The store takes
        /// ownership of it.
        socket: i32,
        timeout_ms: i64,
    }

    /// How to make a process group.
    struct GroupOptions {
        /// The prefix of the group's keys in the store, and the group's name.
        prefix: String,
        rank: i32,
        size: i32,
        timeout_ms: i64,
        /// The address of this machine that Gloo listens on. If empty, PyTorch chooses.
        address: String,
    }

    unsafe extern "C++" {
        include!("torchmill-nn/src/distributed/distributed.h");

        #[namespace = "at"]
        type Tensor = crate::kernel::bridge::ffi::Tensor;
        type TensorList = crate::kernel::bridge::ffi::TensorList;
        type Store;
        type ProcessGroup;
        type Reducer;

        fn set_log_level();
        fn open_store(options: &StoreOptions) -> Result<UniquePtr<Store>>;
        fn hash_store(timeout_ms: i64) -> Result<UniquePtr<Store>>;
        fn store_set(store: &Store, key: &str, value: &str) -> Result<()>;
        fn store_get(store: &Store, key: &str, value: &mut String) -> Result<bool>;

        fn open_group(
            store: &Store,
            options: &GroupOptions,
        ) -> Result<UniquePtr<ProcessGroup>>;
        fn add_nccl(
            group: &ProcessGroup,
            store: &Store,
            options: &GroupOptions,
            library: &str,
        ) -> Result<()>;
        fn share_group(group: &ProcessGroup) -> UniquePtr<ProcessGroup>;
        fn all_reduce_sum(group: &ProcessGroup, tensor: &Tensor) -> Result<()>;
        fn all_reduce_max(group: &ProcessGroup, tensor: &Tensor) -> Result<()>;
        fn all_gather(group: &ProcessGroup, own: &Tensor, all: &TensorList)
        -> Result<()>;
        fn broadcast(group: &ProcessGroup, tensors: &TensorList) -> Result<()>;
        fn barrier(group: &ProcessGroup) -> Result<()>;

        fn open_reducer(
            group: &ProcessGroup,
            parameters: &TensorList,
        ) -> Result<UniquePtr<Reducer>>;
        fn prepare_for_forward(reducer: &Reducer, reduces: bool) -> Result<()>;
        fn prepare_for_backward(reducer: &Reducer) -> Result<()>;
        fn check_finalized(reducer: &Reducer) -> Result<()>;
        fn backward(loss: &Tensor) -> Result<()>;
        fn take_gradient(parameter: &Tensor) -> Result<UniquePtr<Tensor>>;
    }
}

// SAFETY: c10d's stores lock a mutex in every call.
unsafe impl Send for ffi::Store {}
// SAFETY: as above.
unsafe impl Sync for ffi::Store {}
