# Shorthands; each is one line that works without `just` too.
demo *options:
    cargo run --release -- demo {{options}}
test:
    cargo xtask test
embedded:
    cargo xtask embedded
firmware:
    cargo xtask firmware
interop:
    cargo xtask interop
e2e:
    cargo xtask e2e
soak-faults:
    cargo xtask soak faults
soak-kills:
    cargo xtask soak kills
soak-dtls *runs:
    cargo xtask soak dtls {{runs}}
fuzz *options:
    cargo xtask fuzz {{options}}
deb *arch:
    cargo xtask deb {{arch}}
swarm *runs:
    cargo xtask swarm {{runs}}
scale *devices:
    cargo xtask scale {{devices}}
package:
    cargo xtask package
deny:
    cargo xtask deny
bench-keys file:
    cargo xtask bench keys --json {{file}}
bench-forward file:
    cargo xtask bench forward --json {{file}}
size file:
    cargo xtask size --json {{file}}
ci:
    .ci/run
