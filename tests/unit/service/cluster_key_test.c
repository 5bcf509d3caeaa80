/* Files of cluster keys: which are made, which are read, and what is said of the others. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/service/cluster_key.h"
#include "net/quic/quic_network.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"

#define ONE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SAME "abababababababababababababababab"
#define TWO "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

static struct scratch scratch;
static char path[SCRATCH_PATH_BYTES + 8], message[PST_MESSAGE_BYTES];
static struct pst_quic_network network;

static void put_file(const char *bytes, size_t count, mode_t mode)
{
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes, count), (ssize_t)count);
    CU_ASSERT_EQUAL(fchmod(fd, mode), 0);
    close(fd);
}

static int read_text(const char *text)
{
    put_file(text, strlen(text), 0600);
    return cluster_key_read(path, &network, message);
}

/* The message names the file, and what is wrong with it. */
static void check_fault(int error, int expected, const char *words)
{
    CU_ASSERT_EQUAL(error, expected);
    CU_ASSERT_EQUAL(strncmp(message, path, strlen(path)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, words));
    if (!strstr(message, words))
        (void)printf("\n  %s\n", message);
}

static void one_key_or_two(void)
{
    CU_ASSERT_EQUAL(read_text(ONE "\n"), 0);
    CU_ASSERT_EQUAL(network.keys_count, 1);
    CU_ASSERT_EQUAL(network.keys[0][1], 0x11);
    CU_ASSERT_EQUAL(read_text(ONE), 0);
    CU_ASSERT_EQUAL(read_text(TWO "\n" ONE "\n"), 0);
    CU_ASSERT_EQUAL(network.keys_count, 2);
    CU_ASSERT_EQUAL(network.keys[0][0], 0xff);
    CU_ASSERT_EQUAL(network.keys[1][1], 0x11);
    CU_ASSERT_EQUAL(read_text("FFEEDDCCBBAA99887766554433221100FFEEDDCCBBAA99887766554433221100"),
                    0);
    CU_ASSERT_EQUAL(network.keys[0][0], 0xff);
}

static void anything_else_is_refused(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", ": the file is empty: a cluster key is a line of 64 hexadecimal digits"},
        {ONE "\r\n", ": its lines end in CR LF"},
        {ONE "\n" TWO "\r\n", ": its lines end in CR LF"},
        {ONE "\n" TWO "\n" ONE "\n", ": it has more than two lines"},
        {ONE "\n" ONE "\n", ": both lines are the same key"},
        {SAME SAME "\n", ": all bytes of a key are the same"},
        {ONE "\n" SAME SAME "\n", ": all bytes of a key are the same"},
        {ONE "\n" TWO "\n\n", ": it has more than two lines"},
        {ONE "\n\n", ": line 2 has 0 characters"},
        {"\n" ONE "\n", ": line 1 has 0 characters"},
        {ONE "0\n", ": line 1 has 65 characters"},
        {ONE "\n0" ONE TWO ONE TWO ONE, ": line 2 has 191 characters"}, /* of what was read */
        {" " ONE "\n", ": line 1 has 65 characters"},
        {"# key\n" ONE "\n", ": line 1 has 5 characters"},
        {"g" TWO "\n", ": line 1 has 65 characters"},
        {"zfeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100",
         ": line 1 has other characters than digits"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_fault(read_text(cases[i].text), -EINVAL, cases[i].words);
    put_file(ONE "\n\0" ONE, sizeof(ONE "\n\0" ONE) - 1, 0600);
    check_fault(cluster_key_read(path, &network, message), -EINVAL, ": it is not text");
}

/* No byte of a key goes into a log. */
static void a_message_holds_no_key(void)
{
    CU_ASSERT_TRUE(read_text(ONE "x\n") < 0);
    CU_ASSERT_PTR_NULL(strstr(message, "2233"));
}

static void others_may_not_read_it(void)
{
    static const mode_t good[] = {0400, 0440, 0600, 0640};
    static const mode_t bad[] = {0604, 0644, 0660, 0666, 0601, 0610, 0777};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        put_file(ONE "\n", sizeof(ONE), good[i]);
        CU_ASSERT_EQUAL(cluster_key_read(path, &network, message), 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put_file(ONE "\n", sizeof(ONE), bad[i]);
        check_fault(cluster_key_read(path, &network, message), -EPERM,
                    ": a cluster key must be closed to others: chmod 0600, or 0640 for a group");
    }
}

static void it_has_the_right_owner(void)
{
    put_file(ONE "\n", sizeof(ONE), 0600);
    if (geteuid() != 0)
        return; /* who is not root cannot make a file of somebody else */
    CU_ASSERT_EQUAL(chown(path, 12345, 12345), 0);
    check_fault(cluster_key_read(path, &network, message), -EPERM,
                ": a cluster key must belong to the node's user or to root");
}

/* What a symlink leads to counts; and nothing is waited for. */
static void it_is_a_regular_file(void)
{
    char target[sizeof(path) + 8];
    (void)unlink(path);
    check_fault(cluster_key_read(path, &network, message), -ENOENT, ": No such file or directory");
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    check_fault(cluster_key_read(path, &network, message), -EPERM,
                ": a cluster key must be a regular file");
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    check_fault(cluster_key_read(path, &network, message), -EPERM,
                ": a cluster key must be a regular file");
    CU_ASSERT_EQUAL(rmdir(path), 0);
    put_file(ONE "\n", sizeof(ONE), 0644);
    (void)snprintf(target, sizeof(target), "%s.target", path);
    CU_ASSERT_EQUAL(rename(path, target), 0);
    CU_ASSERT_EQUAL(symlink(target, path), 0);
    check_fault(cluster_key_read(path, &network, message), -EPERM,
                ": a cluster key must be closed");
    CU_ASSERT_EQUAL(chmod(target, 0600), 0);
    CU_ASSERT_EQUAL(cluster_key_read(path, &network, message), 0);
    CU_ASSERT_EQUAL(unlink(target), 0);
    check_fault(cluster_key_read(path, &network, message), -ENOENT, ": No such file or directory");
    check_fault(pst_cluster_key_make(path, message), -EEXIST, ": exists, and stays as it is");
    CU_ASSERT_NOT_EQUAL(access(target, F_OK), 0);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static void a_key_is_made_once(void)
{
    struct stat status;
    struct pst_quic_network again;
    (void)unlink(path);
    mode_t mask = umask(0);
    CU_ASSERT_EQUAL_FATAL(pst_cluster_key_make(path, message), 0);
    umask(mask);
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(status.st_size, 65);
    CU_ASSERT_EQUAL(cluster_key_read(path, &network, message), 0);
    check_fault(pst_cluster_key_make(path, message), -EEXIST, ": exists, and stays as it is");
    CU_ASSERT_EQUAL(cluster_key_read(path, &again, message), 0);
    CU_ASSERT_EQUAL(memcmp(again.keys[0], network.keys[0], sizeof(again.keys[0])), 0);
    (void)unlink(path);
    CU_ASSERT_EQUAL(pst_cluster_key_make(path, message), 0);
    CU_ASSERT_EQUAL(cluster_key_read(path, &again, message), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(again.keys[0], network.keys[0], sizeof(again.keys[0])), 0);
}

static CU_TestInfo tests[] = {
    {"one key or two", one_key_or_two},
    {"anything else is refused", anything_else_is_refused},
    {"a message holds no key", a_message_holds_no_key},
    {"others may not read it", others_may_not_read_it},
    {"it has the right owner", it_has_the_right_owner},
    {"it is a regular file", it_is_a_regular_file},
    {"a key is made once", a_key_is_made_once},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    scratch_open(&scratch, NULL);
    (void)snprintf(path, sizeof(path), "%s/key", scratch.path);
    int status = suite_run("service cluster key", tests);
    scratch_close(&scratch);
    return status;
}
