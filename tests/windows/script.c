/* A script of the Windows gateway's tests, which does what its file is called: record, hang, leave or fail.
   Reads the question from standard input and writes the answer to standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static char question[65536];

/* The text member `name` of the question, as it stands there. */
static const char *member(const char *name)
{
    static char value[256];
    char key[64];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    const char *start = strstr(question, key);
    if (start == NULL)
        return "";
    start += strlen(key);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(start, "\""), start);
    return value;
}

static void append(const char *variable, const char *line)
{
    const char *path = getenv(variable);
    FILE *file = path == NULL ? NULL : fopen(path, "ab");
    if (file == NULL)
        exit(9);
    fprintf(file, "%s\n", line);
    fclose(file);
}

/* Starts itself anew in a role, as a child that outlives it where nobody stops it. */
static void leave(char *self, const char *role)
{
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION child;
    char line[MAX_PATH + 16];
    snprintf(line, sizeof line, "\"%s\" %s", self, role);
    if (!CreateProcessA(self, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &child))
        exit(8);
}

int main(int count, char **arguments)
{
    char self[MAX_PATH];
    GetModuleFileNameA(NULL, self, sizeof self);
    if (count > 1 && strcmp(arguments[1], "parent") == 0) {
        leave(self, "child");
        return 0;
    }
    if (count > 1 && strcmp(arguments[1], "child") == 0) {
        for (;;) {
            append("JOURNAL", "alive");
            Sleep(100);
        }
    }
    /* The first thing that these do: their children have no parent that is known. */
    if (strstr(self, "run-hang") != NULL) {
        leave(self, "parent");
        Sleep(INFINITE);
    }
    if (strstr(self, "run-leave") != NULL) {
        leave(self, "child");
        printf("{\"results\": {}}\r\n");
        return 0;
    }
    fread(question, 1, sizeof question - 1, stdin);
    if (strstr(self, "run-fail") != NULL) {
        fprintf(stderr, "the resource is closed on Sundays\r\n");
        return 3;
    }
    append("JOURNAL", member("call"));
    printf("{\"results\": {\"call\": [\"%s\"], \"arguments\": [%d], \"secret\": [\"%s\"]}}\r\n", member("call"), count - 1,
        getenv("PORTCULLIS_TEST_SECRET") == NULL ? "not inherited" : "inherited");
    return 0;
}
