//! These tests on a stand-in for a GPU, which must give the same results.

use torchmill_testing::cuda_stand_in::{
    CudaStandIn, count_waits, run_with_events, sample_allocations,
};
use torchmill_testing::{assert_done, assert_fails, program, stderr, write_stripes};

use crate::networks::sandbox;

#[test]
fn the_suite_passes_on_a_gpu() {
    let Some(stand_in) = CudaStandIn::get("evaluate's suite") else { return };
    stand_in.run_tests(&["images::", "reports::", "runs::"]);
}

#[test]
fn an_evaluation_that_is_out_of_memory_says_so() {
    let Some(stand_in) = CudaStandIn::get("failing allocations") else { return };
    let folder = sandbox();
    let arguments = ["sees.safetensors", "--data", "shards", "--format", "csv"];
    let evaluate = || {
        let mut command = program("evaluate");
        command.current_dir(folder.path()).args(["--device", "cuda"]).args(arguments);
        stand_in.provide(&mut command);
        command
    };
    let log = folder.join("events");
    let (whole, events) = run_with_events(&mut evaluate(), &log);
    assert_done(&whole);
    let mut failed = 0;
    for number in sample_allocations(&events, 6) {
        let mut command = evaluate();
        command.env("CUDA_STAND_IN_FAIL_AT", number.to_string());
        let output = command.output().unwrap();
        if output.status.success() {
            // Images that do not fit on the device are copied with each batch.
            assert_eq!(output.stdout, whole.stdout);
            continue;
        }
        assert_fails(&output, 1, "CUDA out of memory. Tried to allocate ");
        assert!(stderr(&output).contains("--batch-size"), "{}", stderr(&output));
        failed += 1;
    }
    assert!(failed >= 3, "only {failed} of 6 were out of memory");
}

#[test]
fn reading_back_an_evaluation_waits_once_for_each_chunk() {
    let Some(stand_in) = CudaStandIn::get("counting waits") else { return };
    let folder = sandbox();
    let log = folder.join("events");
    let mut waits = Vec::new();
    // Images are computed in chunks of 250.
    for count in [250, 1000] {
        write_stripes(&folder.path().join("shards"), "test", count, "d");
        let mut command = program("evaluate");
        command.current_dir(folder.path()).args(["--device", "cuda"]);
        command.args(["sees.safetensors", "--data", "shards"]);
        let (output, events) = run_with_events(stand_in.provide(&mut command), &log);
        assert_done(&output);
        waits.push(count_waits(&events));
    }
    assert_eq!(waits[1] - waits[0], 3, "in 3 more chunks: {waits:?}");
}
