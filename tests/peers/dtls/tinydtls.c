/* A DTLS 1.2 server and client over tinydtls: a peer of `cargo xtask bench dtls` and `cargo xtask interop`. Arguments of
 * the server: psk; or raw and then as hexadecimal numbers its scalar, its public x and y, and the only client's public x
 * and y. tinydtls makes the cookies (stateless) and keeps the sessions itself. Of the client: client, a port, and the
 * same, its own numbers first. Or: version. */
#include "connect.h"
#include <tinydtls.h>
#include <dtls.h>
#include <dtls_debug.h>

static unsigned char own[3][32], other[2][32];
static const dtls_ecdsa_key_t key = {DTLS_ECDH_CURVE_SECP256R1, own[0], own[1], own[2]};

static int write_datagram(struct dtls_context_t *ctx, session_t *to, uint8 *octets, size_t len) {
    (void)ctx;
    return transmit(&to->addr.sin, octets, len);
}

static int deliver(struct dtls_context_t *ctx, session_t *who, uint8 *payload, size_t len) {
    if (len && payload[0])
        dtls_write(ctx, who, payload, len);
    return 0;
}

/* A client is asked who it is, and everybody for the key. */
static int find_key(struct dtls_context_t *ctx, const session_t *who, dtls_credentials_type_t type,
                    const unsigned char *named, size_t named_len, unsigned char *out, size_t len) {
    (void)ctx;
    (void)who;
    (void)named;
    (void)named_len;
    int is_key = type == DTLS_PSK_KEY;
    if (!is_key && type != DTLS_PSK_IDENTITY)
        return 0;
    size_t wanted = is_key ? sizeof psk : sizeof identity - 1;
    must(len >= wanted, "no room for the key");
    memcpy(out, is_key ? (const void *)psk : identity, wanted);
    return wanted;
}

static int own_key(struct dtls_context_t *ctx, const session_t *who, const dtls_ecdsa_key_t **out) {
    (void)ctx;
    (void)who;
    *out = &key;
    return 0;
}

static int is_the_other(struct dtls_context_t *ctx, const session_t *who, const unsigned char *x,
                         const unsigned char *y, size_t len) {
    (void)ctx;
    (void)who;
    int same = len == 32 && !memcmp(x, other[0], 32) && !memcmp(y, other[1], 32);
    return same ? 0 : dtls_alert_fatal_create(DTLS_ALERT_CERTIFICATE_UNKNOWN);
}

static int deliver_to_client(struct dtls_context_t *ctx, session_t *who, uint8 *payload, size_t len) {
    (void)ctx;
    (void)who;
    show(payload, len);
    return 0;
}

static int established;

static int note(struct dtls_context_t *ctx, session_t *who, dtls_alert_level_t level, unsigned short code) {
    (void)ctx;
    (void)who;
    if (code == DTLS_EVENT_CONNECTED) {
        established = 1;
        say("new session");
    }
    must(level != DTLS_ALERT_LEVEL_FATAL, "a fatal alert");
    return 0;
}

/* Who is spoken to. */
static session_t peer_at(const struct sockaddr_in *addr) {
    session_t who;
    dtls_session_init(&who);
    who.size = sizeof who.addr.sin;
    who.addr.sin = *addr;
    return who;
}

static int run_client(dtls_context_t *ctx, const char *port) {
    connect_to(port);
    session_t to = peer_at(&server);
    must(dtls_connect(ctx, &to) >= 0, "no handshake");
    for (;;) {
        clock_time_t next;
        switch (wait_for(established)) {
        case DATAGRAM_CAME:
            dtls_handle_message(ctx, &to, datagram, datagram_len);
            break;
        case LINE_CAME:
            must(dtls_write(ctx, &to, (uint8 *)line, line_len) == line_len, "cannot be sent");
            break;
        case INPUT_ENDED:
            return dtls_close(ctx, &to) < 0;
        case NOTHING:
            dtls_check_retransmit(ctx, &next);
        }
    }
}

static int run_server(dtls_context_t *ctx) {
    listen_on_loopback();
    for (;;) {
        next_datagram();
        session_t who = peer_at(&from);
        dtls_handle_message(ctx, &who, datagram, datagram_len);
    }
}

int main(int argc, char **argv) {
    static dtls_handler_t handler = {.write = write_datagram, .read = deliver};
    if (argc == 2 && !strcmp(argv[1], "version"))
        return puts(PACKAGE_VERSION) < 0;
    const char *port = argc > 3 && !strcmp(argv[1], "client") ? argv[2] : NULL;
    if (port) {
        handler.read = deliver_to_client;
        handler.event = note;
        argv += 2;
        argc -= 2;
    }
    if (argc == 2 && !strcmp(argv[1], "psk")) {
        handler.get_psk_info = find_key;
    } else if (argc == 7 && !strcmp(argv[1], "raw")) {
        for (int i = 0; i < 3; i++)
            number(argv[2 + i], own[i]);
        for (int i = 0; i < 2; i++)
            number(argv[5 + i], other[i]);
        handler.get_ecdsa_key = own_key;
        handler.verify_ecdsa_key = is_the_other;
    } else {
        return 2;
    }
    dtls_init();
    dtls_set_log_level(DTLS_LOG_EMERG);
    dtls_context_t *ctx = dtls_new_context(NULL);
    must(ctx != NULL, "no context");
    dtls_set_handler(ctx, &handler);
    return port ? run_client(ctx, port) : run_server(ctx);
}
