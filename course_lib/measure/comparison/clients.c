/* Clients of an echo server. Each sends a request as soon as the one before is answered.

   arguments: port, connections, pid of the server
   A line {"seconds": 0.15, "most": 2} on standard input begins a round, which ends when the server and this process have had
   0.15 seconds of CPU time together, or after 2 seconds: on a busy machine a round is longer, and has as many requests.
   The answer is a line of JSON: how many requests were answered, in how many seconds, with how many seconds of CPU time of
   the server and of this process, and how long an answer took (microseconds: half of the requests at most so long, 99 of
   100 at most so long). */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, PATIENCE = 5000, MOST = 1 << 20 };

struct client { int number, left; long sent; };

static char request[SIZE], answer[4096];
static unsigned took[MOST];  /* nanoseconds of each answer of a round */

static long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void fail(const char *why)
{
    printf("{\"why\": \"%s\"}\n", why);
    exit(1);
}

static void ask(struct client *client)
{
    client->sent = now(CLOCK_MONOTONIC);
    client->left = SIZE;
    if (send(client->number, request, SIZE, MSG_NOSIGNAL) != SIZE)
        fail("the server cut a connection");
}

static long talk(int epoll, struct client *clients, int count, clockid_t server, long share, long most)
{
    static struct epoll_event ready[1024];
    long answered = 0, end = now(CLOCK_MONOTONIC) + most, spent = now(server) + now(CLOCK_PROCESS_CPUTIME_ID) + share;
    int under_way = count, batches = 0;

    for (int i = 0; i < count; i++)
        ask(&clients[i]);
    while (under_way) {
        int number = epoll_wait(epoll, ready, 1024, PATIENCE);
        if (number < 0 && errno == EINTR)
            continue;
        if (number <= 0)
            fail("no answer came within 5 s");
        if (++batches % 8 == 0 && now(server) + now(CLOCK_PROCESS_CPUTIME_ID) >= spent)
            end = 0;
        for (int i = 0; i < number; i++) {
            struct client *client = ready[i].data.ptr;
            ssize_t size = recv(client->number, answer, sizeof answer, 0);
            if (size <= 0)
                fail("the server cut a connection");
            if ((client->left -= size) > 0)
                continue;
            long moment = now(CLOCK_MONOTONIC);
            took[answered++ % MOST] = moment - client->sent;
            if (moment < end)
                ask(client);
            else
                under_way--;
        }
    }
    return answered;
}

static int smaller(const void *one, const void *other)
{
    unsigned a = *(const unsigned *)one, b = *(const unsigned *)other;
    return (a > b) - (a < b);
}

int main(int count, char **arguments)
{
    if (count != 4)
        return 2;
    int connections = atoi(arguments[2]), on = 1, epoll = epoll_create1(0);
    clockid_t server = (clockid_t)((~(unsigned)atoi(arguments[3]) << 3) | 2);  /* clock_getcpuclockid(3) */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    struct client *clients = calloc(connections, sizeof *clients);
    char line[256];
    double seconds, most;

    setvbuf(stdout, NULL, _IOLBF, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(request, 'x', SIZE);
    for (int i = 0; i < connections; i++) {
        clients[i].number = socket(AF_INET, SOCK_STREAM, 0);
        if (clients[i].number < 0 || connect(clients[i].number, (struct sockaddr *)&address, sizeof address))
            fail("a client could not connect");
        setsockopt(clients[i].number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].number, &event);
        /* One answer each: it is let in before the next one comes, so that the accept queue never overflows. */
        talk(epoll, &clients[i], 1, server, 0, 0);
    }
    puts("{\"connected\": true}");
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "{\"seconds\": %lf, \"most\": %lf", &seconds, &most) != 2)
            fail("not understood");
        long begin = now(CLOCK_MONOTONIC), used = now(server), own = now(CLOCK_PROCESS_CPUTIME_ID);
        long answered = talk(epoll, clients, connections, server, seconds * 1e9, most * 1e9);
        used = now(server) - used, own = now(CLOCK_PROCESS_CPUTIME_ID) - own, begin = now(CLOCK_MONOTONIC) - begin;
        long kept = answered < MOST ? answered : MOST;
        qsort(took, kept, sizeof *took, smaller);
        printf("{\"requests\": %ld, \"seconds\": %.9f, \"cpu\": %.9f, \"load\": %.9f, \"p50\": %.3f, \"p99\": %.3f}\n",
               answered, begin / 1e9, used / 1e9, own / 1e9, took[kept / 2] / 1e3, took[kept * 99 / 100] / 1e3);
    }
    return 0;
}
