/* A DTLS 1.2 server over OpenSSL: a peer of `cargo xtask bench dtls`. Argument: psk, resume (sessions are kept and
 * tickets given), or version. Cookies are stateless (DTLSv1_listen); all sessions share one socket. */
#include "serve.h"
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

static SSL_CTX *ctx;
static BIO_METHOD *method;
static unsigned char cookie_key[32];
static int peeking;

static int read_datagram(BIO *bio, char *out, int len) {
    BIO_clear_retry_flags(bio);
    if (!datagram_len) {
        BIO_set_retry_read(bio);
        return -1;
    }
    int n = datagram_len < len ? datagram_len : len;
    memcpy(out, datagram, n);
    if (!peeking)
        datagram_len = 0;
    return n;
}

static int write_datagram(BIO *bio, const char *octets, int len) {
    return transmit(BIO_get_data(bio), octets, len);
}

static long control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_DGRAM_SET_PEEK_MODE:
        peeking = number;
        return 1;
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return 1400;
    default:
        return 0;
    }
}

static int destroy(BIO *bio) {
    free(BIO_get_data(bio));
    return 1;
}

static unsigned int find_key(SSL *ssl, const char *identity, unsigned char *key, unsigned int max) {
    (void)ssl;
    (void)identity;
    must(max >= sizeof psk, "no room for the key");
    memcpy(key, psk, sizeof psk);
    return sizeof psk;
}

static int bake(SSL *ssl, unsigned char *cookie, unsigned int *len) {
    (void)ssl;
    unsigned char who[6];
    memcpy(who, &from.sin_addr, 4);
    memcpy(who + 4, &from.sin_port, 2);
    return HMAC(EVP_sha256(), cookie_key, sizeof cookie_key, who, sizeof who, cookie, len) != NULL;
}

static int is_ours(SSL *ssl, const unsigned char *cookie, unsigned int len) {
    unsigned char own[EVP_MAX_MD_SIZE];
    unsigned int own_len;
    return bake(ssl, own, &own_len) && own_len == len && !CRYPTO_memcmp(own, cookie, len);
}

static SSL *fresh(void) {
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new(method);
    must(ssl && bio, "no memory");
    BIO_set_data(bio, calloc(1, sizeof from));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_options(ssl, SSL_OP_COOKIE_EXCHANGE | SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(ssl, 1400);
    SSL_set_accept_state(ssl);
    return ssl;
}

static void prepare(int resume) {
    ctx = SSL_CTX_new(DTLS_server_method());
    must(ctx && SSL_CTX_set_cipher_list(ctx, "PSK-AES128-CCM8:@SECLEVEL=0"), "no PSK-AES128-CCM8");
    must(SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION), "no DTLS 1.2");
    SSL_CTX_set_psk_server_callback(ctx, find_key);
    SSL_CTX_set_cookie_generate_cb(ctx, bake);
    SSL_CTX_set_cookie_verify_cb(ctx, is_ours);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    must(RAND_bytes(cookie_key, sizeof cookie_key) == 1, "no chance");
    if (resume) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
        must(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5), "no context");
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "one datagram");
    must(method != NULL, "no memory");
    BIO_meth_set_read(method, read_datagram);
    BIO_meth_set_write(method, write_datagram);
    BIO_meth_set_ctrl(method, control);
    BIO_meth_set_destroy(method, destroy);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    if (!strcmp(argv[1], "version"))
        return puts(OpenSSL_version(OPENSSL_VERSION_STRING)) < 0;
    prepare(!strcmp(argv[1], "resume"));
    make_places();
    BIO_ADDR *unused = BIO_ADDR_new();
    SSL *spare = fresh();
    listen_on_loopback();
    for (;;) {
        next_datagram();
        struct place *here = place();
        if (!here->who) {
            *(struct sockaddr_in *)BIO_get_data(SSL_get_wbio(spare)) = from;
            if (DTLSv1_listen(spare, unused) != 1)
                continue;
            here->who = spare;
            spare = fresh();
        }
        unsigned char payload[DATAGRAM];
        int len;
        while ((len = SSL_read(here->who, payload, sizeof payload)) > 0)
            if (payload[0])
                SSL_write(here->who, payload, len);
        int fault = SSL_get_error(here->who, len);
        if (fault != SSL_ERROR_WANT_READ) {
            SSL_free(here->who);
            here->who = NULL;
        }
        datagram_len = 0;
    }
}
