# Shorthands; each is one line that works without `just` too.
demo *options:
    cargo run --release -- demo {{options}}
test:
    cargo xtask test
embedded:
    cargo xtask embedded
interop:
    cargo xtask interop
deny:
    cargo xtask deny
ci:
    .ci/run
