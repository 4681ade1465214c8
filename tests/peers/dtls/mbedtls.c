/* A DTLS 1.2 server and client over Mbed TLS: a peer of `cargo xtask bench dtls` and `cargo xtask interop`. Arguments of
 * the server: psk, resume (sessions are kept and tickets given), or cert and then files in PEM: a root, its chain, its
 * key. Its cookies are stateless; all sessions share one socket. Of the client: client, a port, and then perhaps the 512
 * of max_fragment_length, or cert, such files, and the server's name; at the line "again" it says goodbye and comes back
 * with what it knows of its session. Or: version. */
#include "connect.h"
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/timing.h>
#include <mbedtls/version.h>

struct session {
    mbedtls_ssl_context ssl;
    mbedtls_timing_delay_context timer;
    struct sockaddr_in to;
};

static mbedtls_ssl_config conf;
static int with_certificates;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_cookie_ctx cookies;
static mbedtls_ssl_cache_context cache;
static mbedtls_ssl_ticket_context tickets;

static int read_datagram(void *who, unsigned char *out, size_t len) {
    (void)who;
    if (!datagram_len)
        return MBEDTLS_ERR_SSL_WANT_READ;
    int n = datagram_len < (int)len ? datagram_len : (int)len;
    memcpy(out, datagram, n);
    datagram_len = 0;
    return n;
}

static int write_datagram(void *who, const unsigned char *octets, size_t len) {
    return transmit(&((struct session *)who)->to, octets, len);
}

static int find_key(void *unused, mbedtls_ssl_context *ssl, const unsigned char *identity, size_t len) {
    (void)unused;
    (void)identity;
    (void)len;
    return mbedtls_ssl_set_hs_psk(ssl, psk, sizeof psk);
}

static struct session *fresh(void) {
    struct session *session = calloc(1, sizeof *session);
    must(session != NULL, "no memory");
    session->to = server;
    mbedtls_ssl_init(&session->ssl);
    must(!mbedtls_ssl_setup(&session->ssl, &conf), "no session");
    /* Chains come in pieces. */
    if (with_certificates)
        mbedtls_ssl_set_mtu(&session->ssl, 600);
    mbedtls_ssl_set_bio(&session->ssl, session, write_datagram, read_datagram, NULL);
    mbedtls_ssl_set_timer_cb(&session->ssl, &session->timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
    return session;
}

static void prepare(int role) {
    static const int suites[] = {MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0};
    mbedtls_ssl_config_init(&conf);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    must(!mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), "no chance");
    must(!mbedtls_ssl_config_defaults(&conf, role, MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT),
         "no defaults");
    mbedtls_ssl_conf_min_version(&conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_rng(&conf, mbedtls_ctr_drbg_random, &drbg);
    mbedtls_ssl_conf_ciphersuites(&conf, suites);
}

static void prepare_server(int resume) {
    prepare(MBEDTLS_SSL_IS_SERVER);
    mbedtls_ssl_conf_psk_cb(&conf, find_key, NULL);
    mbedtls_ssl_cookie_init(&cookies);
    must(!mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg), "no cookies");
    mbedtls_ssl_conf_dtls_cookies(&conf, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
    if (resume) {
        mbedtls_ssl_cache_init(&cache);
        mbedtls_ssl_conf_session_cache(&conf, &cache, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
        mbedtls_ssl_ticket_init(&tickets);
        must(!mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &drbg, MBEDTLS_CIPHER_AES_256_GCM, 86400),
             "no tickets");
        mbedtls_ssl_conf_session_tickets_cb(&conf, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &tickets);
    }
}

/* RFC 7925 section 4.4. */
static void use_certificates(char **files) {
    static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, 0};
    static mbedtls_x509_crt root, own;
    static mbedtls_pk_context key;
    mbedtls_x509_crt_init(&root);
    mbedtls_x509_crt_init(&own);
    mbedtls_pk_init(&key);
    must(!mbedtls_x509_crt_parse_file(&root, files[0]) && !mbedtls_x509_crt_parse_file(&own, files[1]) &&
             !mbedtls_pk_parse_keyfile(&key, files[2], NULL),
         "no certificates");
    mbedtls_ssl_conf_ciphersuites(&conf, suites);
    mbedtls_ssl_conf_ca_chain(&conf, &root, NULL);
    must(!mbedtls_ssl_conf_own_cert(&conf, &own, &key), "no own certificate");
    mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    with_certificates = 1;
}

/* Through the handshake, from a new port. */
static void handshake(struct session *session, const char *port, mbedtls_ssl_session *known) {
    static mbedtls_ssl_session agreed;
    connect_to(port);
    must(!mbedtls_ssl_session_reset(&session->ssl), "no reset");
    if (known)
        must(!mbedtls_ssl_set_session(&session->ssl, known), "it cannot be resumed");
    for (;;) {
        int fault = mbedtls_ssl_handshake(&session->ssl);
        if (!fault)
            break;
        if (fault != MBEDTLS_ERR_SSL_WANT_READ) {
            fprintf(stderr, "no session: -0x%04x\n", -fault);
            exit(1);
        }
        wait_for(0);
    }
    mbedtls_ssl_session_init(&agreed);
    must(!mbedtls_ssl_get_session(&session->ssl, &agreed), "no memory");
    int resumed = known && !memcmp(agreed.master, known->master, sizeof agreed.master);
    mbedtls_ssl_session_free(&agreed);
    say(resumed ? "resumed session" : "new session");
}

static void receive(struct session *session) {
    unsigned char payload[DATAGRAM];
    int len = mbedtls_ssl_read(&session->ssl, payload, sizeof payload);
    if (len > 0)
        show(payload, len);
    must(len > 0 || len == MBEDTLS_ERR_SSL_WANT_READ, "the session is over");
}

static int run_client(const char *port, char **options) {
    static mbedtls_ssl_session known;
    prepare(MBEDTLS_SSL_IS_CLIENT);
    must(!mbedtls_ssl_conf_psk(&conf, psk, sizeof psk, (const unsigned char *)identity, sizeof identity - 1), "no key");
    if (*options && !strcmp(*options, "512"))
        must(!mbedtls_ssl_conf_max_frag_len(&conf, MBEDTLS_SSL_MAX_FRAG_LEN_512), "no max_fragment_length");
    if (*options && !strcmp(*options, "cert"))
        use_certificates(options + 1);
    connect_to(port);
    struct session *session = fresh();
    if (with_certificates)
        must(!mbedtls_ssl_set_hostname(&session->ssl, options[4]), "no name");
    handshake(session, port, NULL);
    for (;;) {
        enum happened now = wait_for(1);
        if (now == DATAGRAM_CAME)
            receive(session);
        if (now != LINE_CAME && now != INPUT_ENDED)
            continue;
        int again = now == LINE_CAME && line_len == 6 && !memcmp(line, "again\n", 6);
        if (now == LINE_CAME && !again) {
            if (mbedtls_ssl_write(&session->ssl, (unsigned char *)line, line_len) != line_len)
                say("cannot be sent");
            continue;
        }
        mbedtls_ssl_session_free(&known);
        must(!mbedtls_ssl_get_session(&session->ssl, &known), "nothing to resume");
        must(!mbedtls_ssl_close_notify(&session->ssl), "no goodbye");
        if (now == INPUT_ENDED)
            return 0;
        handshake(session, port, &known);
    }
}

int main(int argc, char **argv) {
    if (argc >= 3 && !strcmp(argv[1], "client"))
        return argc > 3 && !strcmp(argv[3], "cert") && argc != 8 ? 2 : run_client(argv[2], argv + 3);
    int certificates = argc == 5 && !strcmp(argv[1], "cert");
    if (argc != 2 && !certificates)
        return 2;
    if (!strcmp(argv[1], "version"))
        return puts(MBEDTLS_VERSION_STRING) < 0;
    prepare_server(!strcmp(argv[1], "resume"));
    if (certificates)
        use_certificates(argv + 2);
    make_places();
    struct session *spare = fresh();
    listen_on_loopback();
    for (;;) {
        next_datagram();
        struct place *here = place();
        struct session *session = here->who ? here->who : spare;
        if (session == spare) {
            spare->to = from;
            must(!mbedtls_ssl_set_client_transport_id(&spare->ssl, (unsigned char *)&from, 8), "no memory");
        }
        unsigned char payload[DATAGRAM];
        int len;
        while ((len = mbedtls_ssl_read(&session->ssl, payload, sizeof payload)) > 0)
            if (payload[0])
                mbedtls_ssl_write(&session->ssl, payload, len);
        if (len == MBEDTLS_ERR_SSL_WANT_READ) {
            if (session == spare) {
                here->who = spare;
                spare = fresh();
            }
        } else {
            /* The cookie was asked for, or it is over. */
            must(!mbedtls_ssl_session_reset(&session->ssl), "no reset");
            if (session != spare) {
                mbedtls_ssl_free(&session->ssl);
                free(session);
                here->who = NULL;
            }
        }
        datagram_len = 0;
    }
}
