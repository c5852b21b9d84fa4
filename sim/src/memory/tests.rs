use super::*;

fn outputs(ports: usize) -> BoardOutputs {
    BoardOutputs {
        read: vec![ReadOutputs::default(); ports],
        write: WriteOutputs::default(),
    }
}

/// Reads `bursts` of 16 beats on every port as fast as the board allows; returns cycles and checked words.
#[allow(clippy::needless_range_loop)]
fn read_all(config: MemoryConfig, ports: usize, bursts: u64) -> (u64, u64) {
    let mut board = Board::new(config, ports);
    let bytes: Vec<u8> = (0..ports as u64 * bursts * 256)
        .map(|i| (i * 7 % 251) as u8)
        .collect();
    board.ddr.write(0x1000, &bytes);
    let mut asked = vec![0u64; ports];
    let mut got = vec![0u64; ports];
    let mut drive = outputs(ports);
    for cycle in 0..200_000 {
        for p in 0..ports {
            let address = 0x1000 + (p as u64 * bursts + asked[p]) * 256;
            drive.read[p] = ReadOutputs {
                arvalid: asked[p] < bursts,
                araddr: address,
                arlen: 15,
                rready: true,
            };
        }
        let inputs = board.inputs().clone();
        for p in 0..ports {
            if inputs.read[p].rvalid {
                let at = 0x1000 + p as u64 * bursts * 256 + got[p] * 16;
                assert_eq!(
                    inputs.read[p].rdata,
                    board.ddr.beat(at),
                    "port {p} beat {}",
                    got[p]
                );
                assert_eq!(inputs.read[p].rlast, got[p] % 16 == 15);
                got[p] += 1;
            }
            asked[p] += u64::from(drive.read[p].arvalid && inputs.read[p].arready);
        }
        board.step(&drive).unwrap();
        if got.iter().all(|&beats| beats == bursts * 16) {
            return (cycle, got.iter().sum());
        }
    }
    panic!("not finished: {got:?}");
}

#[test]
fn four_ports_share_48_bytes_a_cycle_and_one_port_gets_16() {
    let (cycles, beats) = read_all(MemoryConfig::default(), 4, 100);
    assert_eq!(beats, 6_400);
    assert!(
        (6_400 / 3..6_400 / 3 + 100).contains(&(cycles as i64)),
        "{cycles}"
    );
    let (cycles, _) = read_all(MemoryConfig::default(), 1, 100);
    assert!((1_600..1_700).contains(&cycles), "{cycles}");
}

#[test]
fn random_stalls_slow_down_but_lose_nothing() {
    for seed in 0..8 {
        let config = MemoryConfig {
            stalls: Some(seed),
            ..Default::default()
        };
        assert_eq!(read_all(config, 2, 60).1, 2 * 60 * 16);
    }
}

#[test]
fn broken_rules_are_named() {
    let cases = [
        (0xff8, 0, "multiple of 16"),
        (0xff0, 1, "4 KB"),
        (0, 16, "at most 16"),
    ];
    for (address, length, want) in cases {
        let mut board = Board::new(MemoryConfig::default(), 1);
        let mut drive = outputs(1);
        drive.read[0] = ReadOutputs {
            arvalid: true,
            araddr: address,
            arlen: length,
            rready: true,
        };
        let error = board.step(&drive).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn writes_arrive_and_faults_answer_with_an_error() {
    for (fault, response) in [(None, OKAY), (Some(0x2008), SLVERR)] {
        let faults = Faults {
            write_error: fault,
            ..Default::default()
        };
        let mut board = Board::new(
            MemoryConfig {
                faults,
                ..Default::default()
            },
            1,
        );
        let mut drive = outputs(1);
        let mut answers = vec![];
        let (mut address_sent, mut data_sent) = (false, false);
        for _ in 0..100 {
            drive.write = WriteOutputs {
                awvalid: !address_sent,
                awaddr: 0x2000,
                awlen: 0,
                wvalid: address_sent && !data_sent,
                wdata: [1, 2, 3, 4],
                wlast: true,
                bready: true,
            };
            let inputs = board.inputs().write.clone();
            data_sent |= drive.write.wvalid && inputs.wready;
            address_sent |= drive.write.awvalid && inputs.awready;
            if inputs.bvalid {
                answers.push(inputs.bresp);
            }
            board.step(&drive).unwrap();
        }
        assert_eq!(answers, [response]);
        assert_eq!(
            board.ddr.beat(0x2000),
            if fault.is_some() { [0; 4] } else { [1, 2, 3, 4] }
        );
    }
}
