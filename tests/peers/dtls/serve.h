/* What the peers in C share: a UDP socket of the loopback interface, the datagram that is being looked at, and who
 * is heard where. Each program writes its port in one line on its standard output and serves until it is killed.
 * It takes every identity, all with one key, and sends every payload back whose first octet is not zero. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DATAGRAM = 2048, PLACES = 1 << 18 };

static const unsigned char psk[16] = "0123456789abcdef";

static int udp;
static unsigned char datagram[DATAGRAM];
static int datagram_len;
static struct sockaddr_in from;

static void must(int done, const char *what) {
    if (!done) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static void listen_on_loopback(void) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof own;
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    must(!bind(udp, (struct sockaddr *)&own, sizeof own), "no socket");
    must(!getsockname(udp, (struct sockaddr *)&own, &len), "no port");
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
}

static void next_datagram(void) {
    socklen_t len = sizeof from;
    datagram_len = recvfrom(udp, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &len);
    must(datagram_len >= 0, "cannot receive");
}

static int transmit(const struct sockaddr_in *to, const void *octets, size_t len) {
    return sendto(udp, octets, len, 0, (const struct sockaddr *)to, sizeof *to);
}

/* Who is heard where, for libraries that leave that to their caller. */
struct place {
    uint32_t addr;
    uint32_t port;
    void *who;
};

static struct place *places;

static void make_places(void) {
    places = malloc(PLACES * sizeof *places);
    must(places != NULL, "no memory");
    /* Touched now, so that it counts for no session. */
    memset(places, 1, PLACES * sizeof *places);
    memset(places, 0, PLACES * sizeof *places);
}

static struct place *place(void) {
    uint32_t addr = from.sin_addr.s_addr, port = from.sin_port;
    uint32_t at = (addr * 2654435761u ^ port * 40503u * 65537u) % PLACES;
    while (places[at].who && (places[at].addr != addr || places[at].port != port))
        at = (at + 1) % PLACES;
    places[at].addr = addr;
    places[at].port = port;
    return &places[at];
}
