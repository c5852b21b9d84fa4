use rust_hdl::prelude::*;
fn go<U: Block>(name: &str, mut u: U) {
    u.connect_all();
    let t = std::time::Instant::now();
    match crate::verilog::export(name, &u) {
        Ok(d) => {
            println!(
                "== {name} {:?} modules {} bytes {}",
                t.elapsed(),
                d.modules.len(),
                d.to_verilog().len()
            );
            std::fs::write(format!("/tmp/exp/{name}.v"), d.to_verilog()).unwrap();
            let r = crate::verilog::lint::lint(&d).unwrap().to_string();
            println!("{} lint lines", r.lines().count());
            for l in r.lines().take(25) {
                println!("  {l}");
            }
        }
        Err(e) => println!("== {name} {e}"),
    }
}
#[test]
fn dump() {
    let config = crate::config::AccelConfig::named(&std::env::var("CFG").unwrap_or("nano".into())).unwrap();
    go("Registers", crate::bus::registers::Registers::new(&config));
    go("Sequencer", crate::control::sequencer::Sequencer::new(&config));
    go("Feed", crate::array::feed::FeedUnit::new(&config));
    go("Drain", crate::post::drain::DrainUnit::new(&config));
    go("Norm", crate::norm::layer_norm::NormUnit::new(&config));
    go("Softmax", crate::attention::softmax::SoftmaxUnit::new(&config));
    go("Write", crate::bus::write_port::WriteUnit::new(&config));
    go(
        "Activation",
        crate::memory::activation::ActivationMemory::new(&config),
    );
    go(
        "Stationary",
        crate::attention::stationary_memory::StationaryMemory::new(&config),
    );
    go("Residual", crate::memory::residual::ResidualMemory::new(&config));
}
