/* Threads of the engine: their stack, in a process that has it small. */
#include <pthread.h>

#include "engine/base/limits.h"
#include "engine/base/thread.h"
#include "tests/suite.h"

static void *measure(void *argument)
{
    pthread_attr_t attributes;
    size_t *bytes = argument;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, bytes);
        pthread_attr_destroy(&attributes);
    }
    return NULL;
}

/* Of a thread that is started while this is the default. */
static size_t stack_with_default(size_t default_bytes)
{
    pthread_attr_t attributes;
    pthread_t thread;
    size_t bytes = 0;
    pthread_attr_init(&attributes);
    CU_ASSERT_EQUAL(pthread_attr_setstacksize(&attributes, default_bytes), 0);
    CU_ASSERT_EQUAL(pthread_setattr_default_np(&attributes), 0);
    pthread_attr_destroy(&attributes);
    CU_ASSERT_EQUAL_FATAL(pst_thread_create(&thread, measure, &bytes), 0);
    pthread_join(thread, NULL);
    return bytes;
}

static void a_small_limit_does_not_count(void)
{
    CU_ASSERT_TRUE(stack_with_default(PST_STACK_BYTES_MIN / 8) >= PST_STACK_BYTES_MIN);
}

static void a_large_one_does(void)
{
    CU_ASSERT_TRUE(stack_with_default(4 * PST_STACK_BYTES_MIN) >= 4 * PST_STACK_BYTES_MIN);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a small limit does not count", a_small_limit_does_not_count},
        {"a large one does", a_large_one_does},
        CU_TEST_INFO_NULL,
    };
    return suite_run("thread", tests);
}
