/* AES-128-CCM of one 802.15.4 frame by OpenSSL's EVP interface: the peer of `ccm.rs`.
 * Arguments: seal|open, given|kept (the key: with every frame, or once), head, payload and tag octets, count, rounds.
 * Writes the nanoseconds per frame of the shortest round. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NONCE = 13 };

static unsigned char key[16], nonce[NONCE], head[64], plain[128], sealed[128], work[128], tag[16];
static int head_len, len, tag_len, kept;

static void must(int done) {
    if (done <= 0) {
        fputs("OpenSSL refuses\n", stderr);
        exit(1);
    }
}

static void prepare(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, int enc, const unsigned char *with) {
    must(EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, enc));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE, NULL));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, tag_len, NULL));
    must(EVP_CipherInit_ex(ctx, NULL, NULL, with, NULL, enc));
}

static void seal(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher) {
    int out;
    if (!kept)
        prepare(ctx, cipher, 1, key);
    must(EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce));
    must(EVP_EncryptUpdate(ctx, NULL, &out, NULL, len));
    must(EVP_EncryptUpdate(ctx, NULL, &out, head, head_len));
    must(EVP_EncryptUpdate(ctx, work, &out, work, len));
    must(EVP_EncryptFinal_ex(ctx, work + len, &out));
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, tag_len, tag));
}

static void open_frame(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher) {
    int out;
    if (!kept)
        prepare(ctx, cipher, 0, key);
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, tag_len, tag));
    must(EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce));
    must(EVP_DecryptUpdate(ctx, NULL, &out, NULL, len));
    must(EVP_DecryptUpdate(ctx, NULL, &out, head, head_len));
    must(EVP_DecryptUpdate(ctx, work, &out, work, len));
}

int main(int argc, char **argv) {
    if (argc != 8)
        return 2;
    int opens = !strcmp(argv[1], "open");
    kept = !strcmp(argv[2], "kept");
    head_len = atoi(argv[3]);
    len = atoi(argv[4]);
    tag_len = atoi(argv[5]);
    long count = atol(argv[6]), rounds = atol(argv[7]);
    memset(key, 0x42, sizeof key);
    memset(nonce, 0x17, sizeof nonce);
    memset(head, 0x61, sizeof head);
    memset(plain, 0x55, sizeof plain);
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-CCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    prepare(ctx, cipher, 1, key);
    memcpy(work, plain, len);
    seal(ctx, cipher);
    memcpy(sealed, work, len);
    if (opens)
        prepare(ctx, cipher, 0, key);
    double best = 1e18;
    for (long round = 0; round < rounds; round++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (long i = 0; i < count; i++) {
            nonce[9] = i >> 16;
            nonce[10] = i >> 8;
            nonce[11] = opens ? 0x17 : i;
            if (opens)
                nonce[9] = nonce[10] = 0x17;
            memcpy(work, opens ? sealed : plain, len);
            if (opens)
                open_frame(ctx, cipher);
            else
                seal(ctx, cipher);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        double each = ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / count;
        if (each < best)
            best = each;
    }
    /* What came out is looked at, so that nobody can leave it away. */
    if (opens && memcmp(work, plain, len))
        return 1;
    printf("%.1f\n", best);
    return 0;
}
