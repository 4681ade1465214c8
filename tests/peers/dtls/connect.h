/* What the clients in C share. Each is told the port of a server on the loopback interface. It says in a line when there
 * is a session, sends every line of its standard input with its end, writes every payload that comes to its standard
 * output, and says goodbye when its input ends. */
#include "serve.h"
#include <poll.h>
#include <unistd.h>

enum happened { NOTHING, DATAGRAM_CAME, LINE_CAME, INPUT_ENDED };

static const char identity[] = "device-1";

static struct sockaddr_in server;
static char line[DATAGRAM];
static int line_len;

/* Of an argument. */
static void number(const char *text, unsigned char out[32]) {
    must(strlen(text) == 64, "a number has 64 digits");
    for (int i = 0; i < 32; i++) {
        unsigned int octet;
        must(sscanf(text + 2 * i, "%2x", &octet) == 1, "no number");
        out[i] = octet;
    }
}

/* A port of its own each time. */
static void connect_to(const char *port) {
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons(atoi(port));
    if (udp > 0)
        close(udp);
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    must(!connect(udp, (struct sockaddr *)&server, sizeof server), "no socket");
}

static void say(const char *what) {
    puts(what);
    fflush(stdout);
}

static void show(const unsigned char *payload, size_t len) {
    fwrite(payload, 1, len, stdout);
    fflush(stdout);
}

/* Of the input no more than the line is read: what follows it is another one. */
static enum happened read_line(void) {
    for (line_len = 0; line_len < (int)sizeof line;) {
        if (read(0, line + line_len, 1) != 1)
            return INPUT_ENDED;
        if (line[line_len++] == '\n')
            break;
    }
    return LINE_CAME;
}

/* Waits a tenth of a second at most: there are timers to look after. Without a session, for datagrams alone. */
static enum happened wait_for(int session) {
    struct pollfd at[2] = {{.fd = udp, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    must(poll(at, session ? 2 : 1, 100) >= 0, "cannot wait");
    if (at[0].revents) {
        next_datagram();
        return DATAGRAM_CAME;
    }
    return session && at[1].revents ? read_line() : NOTHING;
}
