//! This suite on a stand-in for a GPU: it must give the same figures.

use torchmill_testing::cuda_stand_in::CudaStandIn;

#[test]
fn the_suite_passes_on_a_gpu() {
    let Some(stand_in) = CudaStandIn::get("evaluate's suite") else { return };
    stand_in.run_tests(&["images::", "reports::", "runs::"]);
}
