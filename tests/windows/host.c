/* What a Windows host shows and does that Wine's own programs do not:
 *
 *   host paramchange SERVICE   asks a service to read its configuration again
 *   host text FILE ID WORD     prints the text of an event, with this word in it, as the Event Log would show it
 *   host failure SERVICE       prints what is done when the service fails: seconds, one line each
 */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %lu\n", what, GetLastError());
    return 1;
}

static SC_HANDLE open_service(const wchar_t *name, DWORD access)
{
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    return manager ? OpenServiceW(manager, name, access) : NULL;
}

static int paramchange(const wchar_t *name)
{
    SERVICE_STATUS status;
    SC_HANDLE service = open_service(name, SERVICE_PAUSE_CONTINUE);
    if (!service) return failed("OpenService");
    if (!ControlService(service, SERVICE_CONTROL_PARAMCHANGE, &status)) return failed("ControlService");
    return 0;
}

static int text(const wchar_t *file, const wchar_t *id, const wchar_t *word)
{
    wchar_t *shown = NULL;
    DWORD_PTR words[1] = { (DWORD_PTR)word };
    HMODULE texts = LoadLibraryExW(file, NULL, LOAD_LIBRARY_AS_DATAFILE);
    if (!texts) return failed("LoadLibraryEx");
    if (!FormatMessageW(FORMAT_MESSAGE_ALLOCATE_BUFFER | FORMAT_MESSAGE_FROM_HMODULE | FORMAT_MESSAGE_ARGUMENT_ARRAY, texts,
                        wcstoul(id, NULL, 10), 0, (wchar_t *)&shown, 0, (va_list *)words))
        return failed("FormatMessage");
    printf("%ls", shown);
    return 0;
}

static int failure(const wchar_t *name)
{
    static BYTE buffer[8192];
    SERVICE_FAILURE_ACTIONSW *actions = (SERVICE_FAILURE_ACTIONSW *)buffer;
    DWORD needed, i;
    SC_HANDLE service = open_service(name, SERVICE_QUERY_CONFIG);
    if (!service) return failed("OpenService");
    if (!QueryServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS, buffer, sizeof(buffer), &needed))
        return failed("QueryServiceConfig2");
    for (i = 0; i < actions->cActions; i++)
        if (actions->lpsaActions[i].Type == SC_ACTION_RESTART) printf("%lu\n", actions->lpsaActions[i].Delay / 1000);
    return 0;
}

int wmain(int count, wchar_t **arguments)
{
    if (count == 3 && !wcscmp(arguments[1], L"paramchange")) return paramchange(arguments[2]);
    if (count == 5 && !wcscmp(arguments[1], L"text")) return text(arguments[2], arguments[3], arguments[4]);
    if (count == 3 && !wcscmp(arguments[1], L"failure")) return failure(arguments[2]);
    fprintf(stderr, "usage: host paramchange SERVICE | text FILE ID WORD | failure SERVICE\n");
    return 2;
}
