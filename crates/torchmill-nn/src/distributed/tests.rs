//! Several threads stand in for processes, on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torchmill::{ErrorKind, Result};

use super::group::Group;
use super::handshake::{Compared, Participant, check_same, meet};
use super::nccl;
use super::presence::Presence;
use super::reducer::Reducer;
use super::store::Store;
use crate::device;
use crate::tensor::floats;

const TIMEOUT: Duration = Duration::from_secs(20);

fn participant(rank: u32, size: u32, claim: &str) -> Participant<'_> {
    Participant { rank, size, claim, timeout: TIMEOUT }
}

/// Calls `work` with a group on each of `size` threads, and returns the results.
fn with_groups<T: Send>(size: u32, work: impl Fn(&Group) -> T + Sync) -> Vec<T> {
    let store = Store::in_memory(TIMEOUT).unwrap();
    let run = |rank| {
        let prefix = meet(&store, &participant(rank, size, "test")).unwrap();
        let address = Ipv4Addr::LOCALHOST.to_string();
        let group = Group::on(&store, &prefix, (rank, size), TIMEOUT, address).unwrap();
        work(&group)
    };
    thread::scope(|scope| {
        let run = &run;
        let mut threads = Vec::new();
        for rank in 0..size {
            threads.push(scope.spawn(move || run(rank)));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn groups_reduce_gather_and_broadcast() {
    for size in [2_u32, 3] {
        let seen = with_groups(size, |group| {
            let rank = i64::from(group.rank());
            let mut sum = Tensor::from_slice(&[rank, 1]);
            group.all_reduce_sum(&mut sum).unwrap();
            let mut max = Tensor::from_slice(&[rank, -rank]);
            group.all_reduce_max(&mut max).unwrap();
            let all = group.all_gather(&Tensor::from_slice(&[rank * 10])).unwrap();
            let sent = [Tensor::from_slice(&[rank as f32 + 7.0])];
            group.broadcast(&sent).unwrap();
            group.barrier().unwrap();
            let gathered: Vec<i64> = all.iter().map(|t| t.int64_value(&[0])).collect();
            let sums = [sum.int64_value(&[0]), sum.int64_value(&[1])];
            let maxima = [max.int64_value(&[0]), max.int64_value(&[1])];
            (sums, maxima, gathered, sent[0].double_value(&[0]))
        });
        let size = i64::from(size);
        let gathered = (0..size).map(|rank| rank * 10).collect();
        let expected = ([size * (size - 1) / 2, size], [size - 1, 0], gathered, 7.0);
        assert_eq!(seen, vec![expected; size as usize]);
    }
}

fn ones() -> Tensor {
    Tensor::ones([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true)
}

#[test]
fn gradients_are_means_of_sums() {
    let means = with_groups(2, |group| {
        let weight = ones();
        let reducer = Reducer::new(group, vec![weight.shallow_clone()], vec![]).unwrap();
        let mut means = Vec::new();
        for step in 0..3 {
            let factor = f64::from(group.rank()) + f64::from(step);
            let part = (&weight * 10.0).sum(Kind::Float);
            reducer.accumulate(&part).unwrap();
            reducer.prepare_for_forward(true).unwrap();
            let loss = (&weight * factor).sum(Kind::Float);
            reducer.reduce(&loss).unwrap();
            let gradients = reducer.take_gradients().unwrap();
            means.push(gradients[0].double_value(&[1, 2]));
            assert!(!weight.grad().defined());
        }
        means
    });
    assert_eq!(means, vec![vec![10.5, 11.5, 12.5]; 2]);
}

#[test]
fn a_parameter_without_a_gradient_is_an_error() {
    let errors = with_groups(2, |group| {
        let used = ones();
        let unused = ones();
        let parameters = vec![used.shallow_clone(), unused.shallow_clone()];
        let reducer = Reducer::new(group, parameters, vec![]).unwrap();
        reducer.prepare_for_forward(true).unwrap();
        reducer.reduce(&used.sum(Kind::Float)).unwrap_err().to_string()
    });
    for error in errors {
        assert!(error.contains("a parameter has no gradient"), "{error}");
    }
}

/// One process is enough for NCCL to start, and one GPU for one process. check-gpu looks
/// for the line that this prints.
#[test]
fn nccl_reduces_and_broadcasts_on_a_gpu() {
    let asked = torchmill::device::Device::Cuda(0);
    let (Ok(device), Some(library)) = (device::resolve(asked), nccl::library()) else {
        println!(
            "not run: it needs a GPU, and the library that scripts/build-nccl makes"
        );
        return;
    };
    let store = Store::in_memory(TIMEOUT).unwrap();
    let address = Ipv4Addr::LOCALHOST.to_string();
    let group = Group::on(&store, "nccl", (0, 1), TIMEOUT, address).unwrap();
    group.add_nccl(&store, "nccl", TIMEOUT, &library).unwrap();
    let mut sum = Tensor::from_slice(&[3.0_f32, -1.0]).to_device(device);
    group.all_reduce_sum(&mut sum).unwrap();
    group.broadcast(&[sum.shallow_clone()]).unwrap();
    assert_eq!(floats(&sum), [3.0, -1.0]);
    let weight = ones().detach().to_device(device).set_requires_grad(true);
    let reducer = Reducer::new(&group, vec![weight.shallow_clone()], vec![]).unwrap();
    reducer.prepare_for_forward(true).unwrap();
    reducer.reduce(&(&weight * 2.0).sum(Kind::Float)).unwrap();
    assert_eq!(floats(&reducer.take_gradients().unwrap()[0]), [2.0; 6]);
}

/// A store on a free port of loopback, and this number of connections to it.
fn tcp_store(connections: usize) -> (Store, Vec<Store>) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let server = Store::serve("127.0.0.1", socket, TIMEOUT).unwrap();
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Store::connect("127.0.0.1", port, TIMEOUT).unwrap());
    }
    (server, clients)
}

#[test]
fn a_store_keeps_values() {
    let (server, clients) = tcp_store(1);
    clients[0].set("a", "b c").unwrap();
    assert_eq!(server.get("a").unwrap().as_deref(), Some("b c"));
    assert_eq!(server.get("x").unwrap(), None);
}

#[test]
fn ranks_that_do_not_fit_or_come_are_named() {
    let store = Store::in_memory(TIMEOUT).unwrap();
    let (first, other) = thread::scope(|scope| {
        let other =
            scope.spawn(|| meet(&store, &participant(1, 3, "one of 3")).unwrap_err());
        let first = meet(&store, &participant(0, 2, "one of 2")).unwrap_err();
        (first, other.join().unwrap())
    });
    assert_eq!(first, other);
    assert_eq!(first.to_string(), "rank 1 is one of 3, rank 0 is one of 2");
    let soon = |rank| Participant {
        timeout: Duration::from_millis(300),
        ..participant(rank, 3, "")
    };
    let store = Store::in_memory(TIMEOUT).unwrap();
    let error = meet(&store, &soon(0)).unwrap_err().to_string();
    assert_eq!(error, "ranks 1, 2 have not come within 0.3 s");
    let error = meet(&store, &soon(1)).unwrap_err().to_string();
    assert!(error.contains("rank 0 has not answered within 0.3 s"), "{error}");
}

#[test]
fn keys_of_an_earlier_start_do_no_harm() {
    let store = Store::in_memory(TIMEOUT).unwrap();
    let both = |claim: &'static str| -> [String; 2] {
        thread::scope(|scope| {
            // The other rank comes first, and so finds the name of the earlier start.
            let other = scope.spawn(|| meet(&store, &participant(1, 2, claim)).unwrap());
            thread::sleep(Duration::from_millis(50));
            let first = meet(&store, &participant(0, 2, claim)).unwrap();
            [first, other.join().unwrap()]
        })
    };
    let [first, other] = both("a");
    let [restarted, other_restarted] = both("b");
    assert_eq!((first.as_str(), restarted.as_str()), (&*other, &*other_restarted));
    assert_ne!(first, restarted);
}

#[test]
fn a_rank_with_another_value_is_named_by_all() {
    let store = Store::in_memory(TIMEOUT).unwrap();
    let check = |rank: u32| -> Result<()> {
        let value = if rank == 2 { "b" } else { "a" };
        let compared = Compared { name: "data", value, difference: "other shards" };
        check_same(&store, "x", &participant(rank, 3, ""), &compared, || Ok(()))
    };
    let errors = thread::scope(|scope| {
        let check = &check;
        let threads = [0, 1, 2].map(|rank| scope.spawn(move || check(rank)));
        threads.map(|thread| thread.join().unwrap().unwrap_err().to_string())
    });
    assert_eq!(errors, ["rank 2 has other shards than rank 0"; 3]);
}

#[test]
fn a_process_that_is_gone_is_named() {
    let (_server, clients) = tcp_store(3);
    let mut presences = Vec::new();
    for (rank, store) in (0..3).zip(clients) {
        presences.push(Presence::start(store, "x", rank, 3));
    }
    let lost = || torchmill::Error::new(ErrorKind::Disconnected, "connection closed");
    // Rank 1 stops signalling that it is alive.
    drop(presences.remove(1));
    let error = presences[0].explained(lost());
    assert_eq!(error.to_string(), "rank 1 has been killed, hangs or cannot be reached");
    presences[0].tell(&error);
    assert_eq!(presences[1].explained(lost()), error);
    presences[1].leave();
    presences[0].leave();
}

#[test]
fn the_reason_of_another_process_is_repeated() {
    let (_server, clients) = tcp_store(2);
    let mut presences = Vec::new();
    for (rank, store) in (0..2).zip(clients) {
        presences.push(Presence::start(store, "x", rank, 2));
    }
    presences[0].check().unwrap();
    presences[1].tell(&torchmill::Error::failed("no space left on the disk"));
    let told = "rank 1 has ended: no space left on the disk";
    // The store may answer one connection before it has read another's data.
    let end = Instant::now() + Duration::from_secs(10);
    while presences[0].check().is_ok() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(presences[0].check().unwrap_err().to_string(), told);
    let lost = torchmill::Error::new(ErrorKind::Disconnected, "connection closed");
    assert_eq!(presences[0].explained(lost).to_string(), told);
}
