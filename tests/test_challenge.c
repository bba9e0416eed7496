/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* The wire format of frames, and the exchange that shows a key, without any socket: both versions, each row of the tables in frame.h and challenge.h. */
#include "t_pool.h"

#include "challenge.h"
#include "frame.h"

#include <string.h>

static const struct fmi_challenge_key key = {(const uint8_t *)"key", 3, 0};
static const struct fmi_challenge_key no_md5 = {(const uint8_t *)"key", 3, 1};
static const struct fmi_challenge_key wrong = {(const uint8_t *)"kez", 3, 0};

/* ---- frames ---------------------------------------------------------------------------------------- */

static void expect_header(uint64_t bytes, const char *raw, uint32_t n)
{
    uint8_t written[FMI_FRAME_LONG];
    struct fmi_frame_header h = {0};
    uint64_t length = 0;
    assert_int_equal(fmi_frame_write(written, bytes), n);
    assert_memory_equal(written, raw, n);
    while (fmi_frame_missing(&h) > 0) /* byte by byte */
        h.raw[h.n] = (uint8_t)raw[h.n], h.n++;
    assert_int_equal(h.n, n);
    assert_int_equal(fmi_frame_length(&h, &length), 0);
    assert_true(length == bytes);
}

static void test_frame_headers_are_those_of_python(void **state)
{
    (void)state;
    expect_header(0, "\0\0\0\0", 4);
    expect_header(1, "\0\0\0\1", 4);
    expect_header(0x01020304, "\1\2\3\4", 4);
    expect_header(0x7fffffff, "\x7f\xff\xff\xff", 4);
    expect_header(0x80000000, "\xff\xff\xff\xff\0\0\0\0\x80\0\0\0", 12);
    expect_header(INT64_MAX, "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
}

static int length_of(const char *raw, uint32_t n, uint64_t *bytes)
{
    struct fmi_frame_header h = {.n = n};
    memcpy(h.raw, raw, n);
    assert_int_equal(fmi_frame_missing(&h), 0);
    return fmi_frame_length(&h, bytes);
}

static void test_frame_length_that_none_is_is_refused(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_int_equal(length_of("\xff\xff\xff\xfe", 4, &bytes), FM_EFORMAT);
    assert_int_equal(length_of("\x80\0\0\0", 4, &bytes), FM_EFORMAT);
    assert_int_equal(length_of("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, &bytes), FM_EFORMAT);
    assert_int_equal(length_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, &bytes),
                     FM_EFORMAT);
    assert_int_equal(length_of("\xff\xff\xff\xff\0\0\0\0\0\0\0\5", 12, &bytes), 0);
    assert_int_equal(bytes, 5);
}

/* ---- the exchange ---------------------------------------------------------------------------------- */

struct side {
    struct fmi_challenge c;
    struct fmi_challenge_frame out;
    const struct fmi_challenge_key *key;
};

static void begin(struct side *s, int role, const struct fmi_challenge_key *with)
{
    s->key = with;
    t_expect(fmi_challenge_begin(&s->c, with, role, &s->out), 0);
}

static int hand(const struct side *from, struct side *to)
{
    const struct fmi_challenge_frame frame = from->out;
    assert_true(frame.n > 0);
    return fmi_challenge_take(&to->c, to->key, frame.bytes, frame.n, &to->out);
}

static int hand_text(const char *text, size_t n, struct side *to)
{
    return fmi_challenge_take(&to->c, to->key, (const void *)text, n, &to->out);
}

static void expect_out(const struct side *s, const char *text)
{
    assert_int_equal(s->out.n, strlen(text));
    assert_memory_equal(s->out.bytes, text, s->out.n);
}

static void test_challenge_of_two_with_one_key_ends_in_four_steps(void **state)
{
    (void)state;
    struct side l, c;
    begin(&l, FMI_CHALLENGE_LISTENER, &no_md5);
    begin(&c, FMI_CHALLENGE_CLIENT, &no_md5);
    assert_int_equal(c.out.n, 0);
    assert_int_equal(l.out.n, 11 + 8 + 40);
    assert_memory_equal(l.out.bytes, "#CHALLENGE#{sha256}", 19);
    assert_int_equal(hand(&l, &c), 0);
    assert_int_equal(c.out.n, 8 + 32);
    assert_memory_equal(c.out.bytes, "{sha256}", 8);
    assert_int_equal(hand(&c, &l), 0);
    expect_out(&l, "#WELCOME#");
    assert_int_equal(hand(&l, &c), 0);
    assert_memory_equal(c.out.bytes, "#CHALLENGE#{sha256}", 19);
    assert_int_equal(hand(&c, &l), 0);
    assert_int_equal(hand(&l, &c), 1);
    expect_out(&c, "#WELCOME#");
    assert_int_equal(hand(&c, &l), 1);
    assert_int_equal(l.out.n, 0);
    assert_int_equal(hand_text("#WELCOME#", 9, &l), FM_EFORMAT); /* it is over */
}

static void test_challenge_wrong_key_of_either_side_is_told_to_both(void **state)
{
    (void)state;
    struct side l, c;
    begin(&l, FMI_CHALLENGE_LISTENER, &key);
    begin(&c, FMI_CHALLENGE_CLIENT, &wrong);
    assert_int_equal(hand(&l, &c), 0);
    assert_int_equal(hand(&c, &l), FM_EAUTH);
    expect_out(&l, "#FAILURE#");
    assert_int_equal(hand(&l, &c), FM_EAUTH);
    assert_int_equal(c.out.n, 0);

    begin(&c, FMI_CHALLENGE_CLIENT, &key); /* a listener without the key that says yes */
    begin(&l, FMI_CHALLENGE_LISTENER, &wrong);
    assert_int_equal(hand(&l, &c), 0);
    assert_int_equal(hand_text("#WELCOME#", 9, &c), 0);
    l.c.state = 2; /* WANT_CHALLENGE */
    assert_int_equal(hand(&c, &l), 0);
    assert_int_equal(hand(&l, &c), FM_EAUTH);
    expect_out(&c, "#FAILURE#");
    assert_int_equal(hand(&c, &l), FM_EAUTH);
}

/* The answer to "#CHALLENGE#" and 20 letters x by Python 3.11 with the key "key": hmac.new(b"key", b"x" * 20, "md5"). */
static const char old_question[] = "#CHALLENGE#xxxxxxxxxxxxxxxxxxxx";

static void test_challenge_of_20_bytes_is_answered_by_bare_md5(void **state)
{
    (void)state;
    static const uint8_t digest[16] = {0xf7, 0xcf, 0x38, 0x6f, 0xd0, 0x21, 0x0f, 0x02,
                                       0x6e, 0xd3, 0x79, 0xad, 0x7b, 0x9e, 0xb9, 0x7c};
    struct side c;
    begin(&c, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand_text(old_question, 31, &c), 0);
    assert_int_equal(c.out.n, 16);
    assert_memory_equal(c.out.bytes, digest, 16);
    begin(&c, FMI_CHALLENGE_CLIENT, &no_md5);
    assert_int_equal(hand_text(old_question, 31, &c), FM_EAUTH);
    assert_int_equal(c.out.n, 0);
}

static void test_challenge_with_braces_is_answered_as_they_say(void **state)
{
    (void)state;
    static const char md5[] = "#CHALLENGE#{md5}xxxxxxxxxxxxxxxxxxxx";
    static const char sha[] = "#CHALLENGE#{sha256}xxxxxxxxxxxxxxxxxxxx";
    static const uint8_t md5_digest[16] = {0x6b, 0xce, 0xaa, 0xab, 0x0f, 0x76, 0x82, 0x0f,
                                           0xb5, 0x04, 0xae, 0xc6, 0xaa, 0xc3, 0x35, 0x11},
                         sha_digest[32] = {0x67, 0x7d, 0xd3, 0x48, 0x4c, 0xf1, 0x95, 0xaa,
                                           0x1a, 0xdf, 0x6c, 0x81, 0x18, 0x38, 0x32, 0xe4,
                                           0x4b, 0x29, 0x51, 0x1b, 0x0e, 0x77, 0x41, 0x5d,
                                           0x16, 0x06, 0xeb, 0xd0, 0x93, 0x78, 0x10, 0x3d};
    struct side c;
    begin(&c, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand_text(md5, sizeof md5 - 1, &c), 0);
    assert_int_equal(c.out.n, 5 + 16);
    assert_memory_equal(c.out.bytes, "{md5}", 5);
    assert_memory_equal(c.out.bytes + 5, md5_digest, 16);
    begin(&c, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand_text(sha, sizeof sha - 1, &c), 0);
    assert_int_equal(c.out.n, 8 + 32);
    assert_memory_equal(c.out.bytes + 8, sha_digest, 32);
}

static void test_challenge_refuses_what_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } bad[] = {{"", 0},
               {"#CHALLENGE#", 11},
               {"#CHALLENGE#xxxxxxxxxxxxxxxxxxx", 30},   /* 19 */
               {"#CHALLENGE#xxxxxxxxxxxxxxxxxxxxx", 32}, /* 21 without braces */
               {"#CHALLENGE#{sha1}xxxxxxxxxxxxxxxxxxxx", 37},
               {"#CHALLENGE#{sha256xxxxxxxxxxxxxxxxxxxx", 38},
               {"#challenge#xxxxxxxxxxxxxxxxxxxx", 31},
               {"#WELCOME#", 9}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct side c;
        begin(&c, FMI_CHALLENGE_CLIENT, &key);
        assert_int_equal(hand_text(bad[i].text, bad[i].n, &c), FM_EFORMAT);
        assert_int_equal(c.out.n, 0);
        assert_int_equal(hand_text(old_question, 31, &c), FM_EFORMAT); /* no second try */
    }
}

static void test_challenge_response_of_wrong_length_is_a_wrong_key(void **state)
{
    (void)state;
    struct side l, c;
    for (uint32_t n = 0; n <= FMI_CHALLENGE_FRAME; n++) {
        begin(&l, FMI_CHALLENGE_LISTENER, &key);
        begin(&c, FMI_CHALLENGE_CLIENT, &key);
        assert_int_equal(hand(&l, &c), 0);
        c.out.n = n;
        int rc = fmi_challenge_take(&l.c, l.key, c.out.bytes, n, &l.out);
        assert_int_equal(rc, n == 40 ? 0 : FM_EAUTH);
    }
}

static void test_challenge_that_a_client_asked_is_answered_by_no_client(void **state)
{
    (void)state;
    struct side l, c, again;
    begin(&l, FMI_CHALLENGE_LISTENER, &key);
    begin(&c, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand(&l, &c), 0);
    assert_int_equal(hand(&c, &l), 0);
    assert_int_equal(hand(&l, &c), 0); /* c.out: what the client asks */
    begin(&again, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand(&c, &again), FM_EAUTH); /* whoever listens there hands it to another */
    assert_int_equal(again.out.n, 0);
    c.out.bytes[40] ^= 1; /* no client's any more */
    begin(&again, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand(&c, &again), 0);
}

static void test_challenge_of_a_listener_is_not_answered_by_itself(void **state)
{
    (void)state;
    struct side l, c;
    begin(&l, FMI_CHALLENGE_LISTENER, &key);
    begin(&c, FMI_CHALLENGE_CLIENT, &key);
    const struct fmi_challenge_frame asked = l.out;
    assert_int_equal(hand(&l, &c), 0);
    assert_int_equal(hand(&c, &l), 0);
    assert_int_equal(fmi_challenge_take(&l.c, l.key, asked.bytes, asked.n, &l.out), FM_EAUTH);
    assert_int_equal(l.out.n, 0);
}

static void test_challenge_answer_of_another_time_is_a_wrong_key(void **state)
{
    (void)state;
    struct side l, c;
    begin(&l, FMI_CHALLENGE_LISTENER, &key);
    begin(&c, FMI_CHALLENGE_CLIENT, &key);
    assert_int_equal(hand(&l, &c), 0);
    begin(&l, FMI_CHALLENGE_LISTENER, &key);
    assert_int_equal(hand(&c, &l), FM_EAUTH);
}

T_MAIN(T_TEST(test_frame_headers_are_those_of_python),
       T_TEST(test_frame_length_that_none_is_is_refused),
       T_TEST(test_challenge_of_two_with_one_key_ends_in_four_steps),
       T_TEST(test_challenge_wrong_key_of_either_side_is_told_to_both),
       T_TEST(test_challenge_of_20_bytes_is_answered_by_bare_md5),
       T_TEST(test_challenge_with_braces_is_answered_as_they_say),
       T_TEST(test_challenge_refuses_what_is_none),
       T_TEST(test_challenge_response_of_wrong_length_is_a_wrong_key),
       T_TEST(test_challenge_that_a_client_asked_is_answered_by_no_client),
       T_TEST(test_challenge_of_a_listener_is_not_answered_by_itself),
       T_TEST(test_challenge_answer_of_another_time_is_a_wrong_key))
