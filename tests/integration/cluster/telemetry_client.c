/*
 * Asks DPDK's telemetry: telemetry_client SOCKET COMMAND prints the answer, a JSON object. It
 * greets each client with an object of its own; both come as one packet (SOCK_SEQPACKET).
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char answer[1 << 16];

static ssize_t take(int fd)
{
    ssize_t bytes = recv(fd, answer, sizeof(answer) - 1, 0);
    answer[bytes > 0 ? bytes : 0] = '\0';
    return bytes;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path) || fd < 0)
        return 2;
    strcpy(address.sun_path, argv[1]);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || take(fd) <= 0 ||
        send(fd, argv[2], strlen(argv[2]), 0) < 0 || take(fd) <= 0) {
        perror(argv[1]);
        return 1;
    }
    puts(answer);
    return close(fd);
}
