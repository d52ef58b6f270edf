/* A whole echo server on epoll: what is left when no language and no model stands between the loop and the kernel.
   argv[1] is the number of a listening socket. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    int listener = atoi(arguments[count - 1]), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[1024];
    char data[4096];

    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int number = epoll_wait(epoll, ready, 1024, -1);
        for (int i = 0; i < number; i++) {
            int connection = ready[i].data.fd;
            if (connection == listener) {
                connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (connection >= 0) {
                    event.data.fd = connection;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event);
                }
                continue;
            }
            ssize_t size = recv(connection, data, sizeof data, 0);
            if (size <= 0 || send(connection, data, size, MSG_NOSIGNAL) != size)
                close(connection);
        }
    }
}
