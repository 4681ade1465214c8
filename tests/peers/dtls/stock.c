/* A device with stock software: libcoap over OpenSSL, and nothing of ours. It joins by CoAP through a relay on the loopback
 * interface: `stock PORT GROUP` observes /k, asks to be in the group, confirms every key message, and writes each record in hex. */
#include <coap3/coap.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char identity[] = "stock-1";
static const char key[] = "0123456789abcdef";
static const uint8_t observing[] = {0x0b, 0x5e};

static void must(int good, const char *what) {
    if (!good) {
        fprintf(stderr, "stock: %s\n", what);
        exit(1);
    }
}

static void post(coap_session_t *session, const uint8_t *octets, size_t len) {
    static uint8_t token;
    coap_pdu_t *pdu = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST, session);
    must(pdu != NULL, "no message");
    token++;
    must(coap_add_token(pdu, 1, &token), "no token");
    must(coap_add_option(pdu, COAP_OPTION_URI_PATH, 1, (const uint8_t *)"k"), "no path");
    must(coap_add_data(pdu, len, octets), "no payload");
    must(coap_send(session, pdu) != COAP_INVALID_MID, "not sent");
}

/* Octets of the message at the front; 0 if it cannot be told. */
static size_t extent(const uint8_t *message, size_t left) {
    switch (message[0]) {
    case 0xa1: /* MKD */
        return 26;
    case 0xa2: /* SPD: behind 26 octets, parameters if a flag says so */
        if (left < 28)
            return 26;
        return message[9] & 4 ? 28 + (message[26] << 8 | message[27]) : 26;
    case 0xa3: /* ACK */
        return 2;
    case 0xa5: /* CFG */
        return left < 4 ? 0 : 4 + (message[2] << 8 | message[3]);
    default:
        return 0;
    }
}

static void confirm(coap_session_t *session, const uint8_t *record, size_t len) {
    uint8_t acks[64];
    size_t count = 0;
    for (size_t at = 0; at + 2 <= len && count + 2 <= sizeof acks;) {
        size_t own = extent(record + at, len - at);
        if (own == 0 || own > len - at)
            break;
        if (record[at] != 0xa3) {
            acks[count++] = 0xa3;
            acks[count++] = record[at + 1];
        }
        at += own;
    }
    if (count > 0)
        post(session, acks, count);
}

static coap_response_t heard(coap_session_t *session, const coap_pdu_t *sent, const coap_pdu_t *received,
                             const coap_mid_t mid) {
    (void)sent;
    (void)mid;
    coap_pdu_code_t code = coap_pdu_get_code(received);
    coap_bin_const_t token = coap_pdu_get_token(received);
    const uint8_t *octets = NULL;
    size_t len = 0;
    coap_get_data(received, &len, &octets);
    int told = token.length == sizeof observing && !memcmp(token.s, observing, sizeof observing);
    printf("%s %d.%02d ", told ? "told" : "answered", code >> 5, code & 31);
    for (size_t i = 0; i < len; i++)
        printf("%02x", octets[i]);
    printf("\n");
    fflush(stdout);
    if (told && len > 0)
        confirm(session, octets, len);
    return COAP_RESPONSE_OK;
}

int main(int argc, char **argv) {
    must(argc == 3, "which port, which group?");
    coap_startup();
    coap_context_t *context = coap_new_context(NULL);
    must(context != NULL, "no context");
    coap_address_t server;
    coap_address_init(&server);
    server.addr.sin.sin_family = AF_INET;
    server.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.addr.sin.sin_port = htons(atoi(argv[1]));
    coap_dtls_cpsk_t psk;
    memset(&psk, 0, sizeof psk);
    psk.version = COAP_DTLS_CPSK_SETUP_VERSION;
    psk.psk_info.identity.s = (const uint8_t *)identity;
    psk.psk_info.identity.length = sizeof identity - 1;
    psk.psk_info.key.s = (const uint8_t *)key;
    psk.psk_info.key.length = sizeof key - 1;
    coap_session_t *session = coap_new_client_session_psk2(context, NULL, &server, COAP_PROTO_DTLS, &psk);
    must(session != NULL, "no session");
    coap_register_response_handler(context, heard);

    coap_pdu_t *pdu = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_GET, session);
    must(pdu != NULL, "no message");
    must(coap_add_token(pdu, sizeof observing, observing), "no token");
    must(coap_add_option(pdu, COAP_OPTION_OBSERVE, 0, NULL), "no option");
    must(coap_add_option(pdu, COAP_OPTION_URI_PATH, 1, (const uint8_t *)"k"), "no path");
    must(coap_send(session, pdu) != COAP_INVALID_MID, "not sent");

    /* REQ: its number, no bundle, no epoch; the group, as a listener. */
    int group = atoi(argv[2]);
    uint8_t req[] = {0xa4, 1, 0, 0, 0, 0, 0, 0, group >> 8, group & 255, 1};
    post(session, req, sizeof req);
    for (;;)
        must(coap_io_process(context, 1000) >= 0, "no input or output");
}
