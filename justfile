# Shorthands; each is one line that works without `just` too.
demo *options:
    cargo run --release -- demo {{options}}
test:
    cargo xtask test
embedded:
    cargo xtask embedded
interop:
    cargo xtask interop
e2e:
    cargo xtask e2e
deny:
    cargo xtask deny
ci:
    .ci/run
