/* A DTLS 1.2 server and client over wolfSSL: a peer of `cargo xtask interop`. Arguments of the server: psk (sessions are
 * kept, and tickets given), cid (it has a connection ID too), raw and then as hexadecimal numbers its scalar, its public x
 * and y, and the only client's public x and y, or cert and then files in PEM: a root, its chain, its key; it serves one
 * client after the other. Of the client: client, a port, and any of 512 (max_fragment_length), cid and ticket, or raw and
 * numbers, its own first, or cert, such files, and the server's name; at the line "again" it says goodbye and comes back
 * with what it knows of its session. Or: version. */
#include "connect.h"
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/sha256.h>

static WOLFSSL_CTX *ctx;
static unsigned char cookie_key[32];

static int read_datagram(WOLFSSL *ssl, char *out, int len, void *unused) {
    (void)ssl;
    (void)unused;
    if (!datagram_len)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    int n = datagram_len < len ? datagram_len : len;
    memcpy(out, datagram, n);
    datagram_len = 0;
    return n;
}

static int write_datagram(WOLFSSL *ssl, char *octets, int len, void *to) {
    (void)ssl;
    return transmit(to, octets, len);
}

static int bake(WOLFSSL *ssl, unsigned char *cookie, int len, void *unused) {
    (void)ssl;
    (void)unused;
    unsigned char full[WC_SHA256_DIGEST_SIZE];
    wc_Sha256 sha;
    must(!wc_InitSha256(&sha) && !wc_Sha256Update(&sha, cookie_key, sizeof cookie_key) &&
             !wc_Sha256Update(&sha, (unsigned char *)&from, sizeof from) && !wc_Sha256Final(&sha, full),
         "no cookie");
    int n = len < (int)sizeof full ? len : (int)sizeof full;
    memcpy(cookie, full, n);
    return n;
}

static unsigned int own_key(WOLFSSL *ssl, const char *hint, char *name, unsigned int name_max, unsigned char *key,
                            unsigned int key_max) {
    (void)ssl;
    (void)hint;
    must(name_max >= sizeof identity && key_max >= sizeof psk, "no room for the key");
    memcpy(name, identity, sizeof identity);
    memcpy(key, psk, sizeof psk);
    return sizeof psk;
}

static unsigned int find_key(WOLFSSL *ssl, const char *name, unsigned char *key, unsigned int max) {
    (void)ssl;
    (void)name;
    must(max >= sizeof psk, "no room for the key");
    memcpy(key, psk, sizeof psk);
    return sizeof psk;
}

/* RFC 5480: the SubjectPublicKeyInfo of a point of P-256. */
static void info(const char *x, const char *y, unsigned char out[91]) {
    static const unsigned char head[27] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                           0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                           0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    memcpy(out, head, sizeof head);
    number(x, out + 27);
    number(y, out + 59);
}

/* RFC 5915: an ECPrivateKey of P-256. */
static void private_key(const char *scalar, unsigned char out[51]) {
    static const unsigned char head[7] = {0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20};
    static const unsigned char tail[12] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    memcpy(out, head, sizeof head);
    number(scalar, out + 7);
    memcpy(out + 39, tail, sizeof tail);
}

static void use_raw_keys(char **numbers) {
    static const char raw[] = {WOLFSSL_CERT_TYPE_RPK};
    unsigned char secret[51], own[91], other[91];
    private_key(numbers[0], secret);
    info(numbers[1], numbers[2], own);
    info(numbers[3], numbers[4], other);
    must(wolfSSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-CCM-8") == WOLFSSL_SUCCESS, "no suite");
    must(wolfSSL_CTX_set_client_cert_type(ctx, raw, 1) == WOLFSSL_SUCCESS &&
             wolfSSL_CTX_set_server_cert_type(ctx, raw, 1) == WOLFSSL_SUCCESS,
         "no raw public keys");
    must(wolfSSL_CTX_use_PrivateKey_buffer(ctx, secret, sizeof secret, WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
             wolfSSL_CTX_use_certificate_buffer(ctx, own, sizeof own, WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS,
         "no key");
    must(wolfSSL_CTX_set_expected_rpk(ctx, other, sizeof other) == WOLFSSL_SUCCESS, "nobody is expected");
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

/* RFC 7925 section 4.4. */
static void use_certificates(char **files) {
    must(wolfSSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-CCM-8") == WOLFSSL_SUCCESS, "no suite");
    must(wolfSSL_CTX_load_verify_locations(ctx, files[0], NULL) == WOLFSSL_SUCCESS &&
             wolfSSL_CTX_use_certificate_chain_file(ctx, files[1]) == WOLFSSL_SUCCESS &&
             wolfSSL_CTX_use_PrivateKey_file(ctx, files[2], WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS,
         "no certificates");
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static void prepare(WOLFSSL_METHOD *method) {
    ctx = wolfSSL_CTX_new(method);
    must(ctx && wolfSSL_CTX_set_cipher_list(ctx, "PSK-AES128-CCM-8") == WOLFSSL_SUCCESS, "no PSK-AES128-CCM-8");
    wolfSSL_CTX_SetIORecv(ctx, read_datagram);
    wolfSSL_CTX_SetIOSend(ctx, write_datagram);
}

/* It sends to whom `to` says at that time. */
static WOLFSSL *fresh(struct sockaddr_in *to, int with_id) {
    static unsigned char id[] = "wolf";
    WOLFSSL *ssl = wolfSSL_new(ctx);
    must(ssl != NULL, "no memory");
    wolfSSL_SetIOWriteCtx(ssl, to);
    wolfSSL_dtls_set_using_nonblock(ssl, 1);
    if (with_id)
        must(wolfSSL_dtls_cid_use(ssl) == WOLFSSL_SUCCESS && wolfSSL_dtls_cid_set(ssl, id, 4) == WOLFSSL_SUCCESS,
             "no connection ID");
    return ssl;
}

static int waits(WOLFSSL *ssl) {
    return wolfSSL_get_error(ssl, 0) == WOLFSSL_ERROR_WANT_READ;
}

/* One session, from its first ClientHello to its end. */
static void serve(int with_id) {
    unsigned char payload[DATAGRAM];
    WOLFSSL *ssl = fresh(&from, with_id);
    int done = 0, len;
    do {
        next_datagram();
        if (!done)
            done = wolfSSL_accept(ssl) == WOLFSSL_SUCCESS;
        while (done && (len = wolfSSL_read(ssl, payload, sizeof payload)) > 0)
            if (payload[0])
                wolfSSL_write(ssl, payload, len);
    } while (waits(ssl));
    wolfSSL_free(ssl);
}

static int run_server(int with_id, char **raw, char **files) {
    WC_RNG rng;
    prepare(wolfDTLSv1_2_server_method());
    must(!wc_InitRng(&rng) && !wc_RNG_GenerateBlock(&rng, cookie_key, sizeof cookie_key), "no chance");
    if (raw)
        use_raw_keys(raw);
    else if (files)
        use_certificates(files);
    else
        wolfSSL_CTX_set_psk_server_callback(ctx, find_key);
    wolfSSL_CTX_SetGenCookie(ctx, bake);
    listen_on_loopback();
    for (;;)
        serve(with_id);
}

static int wants(char **options, const char *option) {
    for (; *options; options++)
        if (!strcmp(*options, option))
            return 1;
    return 0;
}

/* Through the handshake, from a new port. */
static WOLFSSL *handshake(const char *port, char **options, WOLFSSL_SESSION *known) {
    connect_to(port);
    WOLFSSL *ssl = fresh(&server, wants(options, "cid"));
    if (*options && !strcmp(*options, "cert"))
        must(wolfSSL_check_domain_name(ssl, options[4]) == WOLFSSL_SUCCESS, "no name");
    if (wants(options, "512"))
        must(wolfSSL_UseMaxFragment(ssl, WOLFSSL_MFL_2_9) == WOLFSSL_SUCCESS, "no max_fragment_length");
    if (wants(options, "ticket"))
        must(wolfSSL_UseSessionTicket(ssl) == WOLFSSL_SUCCESS, "no tickets");
    if (known)
        must(wolfSSL_set_session(ssl, known) == WOLFSSL_SUCCESS, "it cannot be resumed");
    while (wolfSSL_connect(ssl) != WOLFSSL_SUCCESS) {
        if (!waits(ssl)) {
            fprintf(stderr, "no session: %d\n", wolfSSL_get_error(ssl, 0));
            exit(1);
        }
        if (wait_for(0) == NOTHING && wolfSSL_dtls_get_current_timeout(ssl) == 0)
            wolfSSL_dtls_got_timeout(ssl);
    }
    say(wolfSSL_session_reused(ssl) ? "resumed session" : "new session");
    return ssl;
}

static void receive(WOLFSSL *ssl) {
    unsigned char payload[DATAGRAM];
    int len = wolfSSL_read(ssl, payload, sizeof payload);
    if (len > 0)
        show(payload, len);
    must(len > 0 || waits(ssl), "the session is over");
}

static int run_client(const char *port, char **options) {
    prepare(wolfDTLSv1_2_client_method());
    if (*options && !strcmp(*options, "raw"))
        use_raw_keys(options + 1);
    else if (*options && !strcmp(*options, "cert"))
        use_certificates(options + 1);
    else
        wolfSSL_CTX_set_psk_client_callback(ctx, own_key);
    WOLFSSL *ssl = handshake(port, options, NULL);
    for (;;) {
        enum happened now = wait_for(1);
        int again = now == LINE_CAME && line_len == 6 && !memcmp(line, "again\n", 6);
        if (now == DATAGRAM_CAME)
            receive(ssl);
        else if (now == LINE_CAME && !again && wolfSSL_write(ssl, line, line_len) != line_len)
            say("cannot be sent");
        if (!again && now != INPUT_ENDED)
            continue;
        WOLFSSL_SESSION *known = wolfSSL_get1_session(ssl);
        wolfSSL_shutdown(ssl);
        wolfSSL_free(ssl);
        if (!again)
            return 0;
        ssl = handshake(port, options, known);
        wolfSSL_SESSION_free(known);
    }
}

int main(int argc, char **argv) {
    wolfSSL_Init();
    if (argc == 2 && !strcmp(argv[1], "version"))
        return puts(LIBWOLFSSL_VERSION_STRING) < 0;
    int is_client = argc >= 3 && !strcmp(argv[1], "client");
    char **options = argv + (is_client ? 3 : 1);
    int count = argc - (options - argv);
    int raw = count > 0 && !strcmp(options[0], "raw");
    int cert = count > 0 && !strcmp(options[0], "cert");
    if (raw ? count != 6 : cert ? count != 4 + is_client : !is_client && count != 1)
        return 2;
    if (is_client)
        return run_client(argv[2], options);
    return run_server(!strcmp(options[0], "cid"), raw ? options + 1 : NULL, cert ? options + 1 : NULL);
}
