//! Each program has the memory map of its board.

fn main() {
    for board in ["dongle", "kit"] {
        let variable = format!("DEP_LOWGATE_NRF52840_{}", board.to_uppercase());
        let folder = std::env::var(variable).expect("its crate's build script said it");
        println!("cargo:rustc-link-arg-bin=rcp-{board}=-L{folder}");
    }
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=build.rs");
}
