/* A DTLS 1.2 server over tinydtls: a peer of `cargo xtask bench dtls`. Arguments: psk; version; or raw, then as hexadecimal
 * numbers the server's scalar, its public x and y, and the only client's public x and y. tinydtls makes the cookies
 * (stateless) and keeps the sessions itself. */
#include "serve.h"
#include <tinydtls.h>
#include <dtls.h>
#include <dtls_debug.h>

static unsigned char own[3][32], client[2][32];
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

static int find_key(struct dtls_context_t *ctx, const session_t *who, dtls_credentials_type_t type,
                    const unsigned char *identity, size_t identity_len, unsigned char *out, size_t len) {
    (void)ctx;
    (void)who;
    (void)identity;
    (void)identity_len;
    if (type != DTLS_PSK_KEY)
        return 0;
    must(len >= sizeof psk, "no room for the key");
    memcpy(out, psk, sizeof psk);
    return sizeof psk;
}

static int own_key(struct dtls_context_t *ctx, const session_t *who, const dtls_ecdsa_key_t **out) {
    (void)ctx;
    (void)who;
    *out = &key;
    return 0;
}

static int is_the_client(struct dtls_context_t *ctx, const session_t *who, const unsigned char *x,
                         const unsigned char *y, size_t len) {
    (void)ctx;
    (void)who;
    int same = len == 32 && !memcmp(x, client[0], 32) && !memcmp(y, client[1], 32);
    return same ? 0 : dtls_alert_fatal_create(DTLS_ALERT_CERTIFICATE_UNKNOWN);
}

static void number(const char *text, unsigned char out[32]) {
    must(strlen(text) == 64, "a number has 64 digits");
    for (int i = 0; i < 32; i++) {
        unsigned int octet;
        must(sscanf(text + 2 * i, "%2x", &octet) == 1, "no number");
        out[i] = octet;
    }
}

int main(int argc, char **argv) {
    static dtls_handler_t handler = {.write = write_datagram, .read = deliver};
    if (argc == 2 && !strcmp(argv[1], "version"))
        return puts(PACKAGE_VERSION) < 0;
    if (argc == 2 && !strcmp(argv[1], "psk")) {
        handler.get_psk_info = find_key;
    } else if (argc == 7 && !strcmp(argv[1], "raw")) {
        for (int i = 0; i < 3; i++)
            number(argv[2 + i], own[i]);
        for (int i = 0; i < 2; i++)
            number(argv[5 + i], client[i]);
        handler.get_ecdsa_key = own_key;
        handler.verify_ecdsa_key = is_the_client;
    } else {
        return 2;
    }
    dtls_init();
    dtls_set_log_level(DTLS_LOG_EMERG);
    dtls_context_t *ctx = dtls_new_context(NULL);
    must(ctx != NULL, "no context");
    dtls_set_handler(ctx, &handler);
    listen_on_loopback();
    for (;;) {
        session_t who;
        next_datagram();
        dtls_session_init(&who);
        who.size = sizeof who.addr.sin;
        who.addr.sin = from;
        dtls_handle_message(ctx, &who, datagram, datagram_len);
    }
}
