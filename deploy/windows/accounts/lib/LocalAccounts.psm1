# Local accounts and groups of a Windows host, for a connector of type `script`. The scripts beside this folder are one line each.
# A question comes as JSON on standard input and nowhere else: no argument and no variable of the environment holds a password.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

$utf8 = New-Object System.Text.UTF8Encoding $false

# Of the accounts: those that may be set, and what the cmdlets call them.
$texts = @{ full_name = 'FullName'; description = 'Description' }

# Reads the question, carries out $Verb, and writes the answer.
function Invoke-Verb([string] $Verb) {
    $reader = New-Object System.IO.StreamReader ([Console]::OpenStandardInput()), $utf8
    $answer = try {
        $asked = $reader.ReadToEnd() | ConvertFrom-Json
        & "Invoke-$Verb" $asked
    } catch {
        @{ error = Get-Fault $_.Exception; changed = $script:changed }
    }
    if ($null -ne $answer) {
        $bytes = $utf8.GetBytes((ConvertTo-Json -InputObject $answer -Depth 10 -Compress))
        $output = [Console]::OpenStandardOutput()
        $output.Write($bytes, 0, $bytes.Length)
        $output.Flush()
    }
}

# Whether anything is not as it was: then a fault leaves the outcome open.
$changed = $false

class Refusal : System.Exception {
    [string] $Kind
    Refusal([string] $kind, [string] $message) : base($message) { $this.Kind = $kind }
}

function Get-Fault([System.Exception] $Exception) {
    if ($Exception -is [Refusal]) { return @{ kind = $Exception.Kind; message = $Exception.Message } }
    $kind = switch -Regex ($Exception.GetType().Name) {
        'NotFound' { 'not-found'; break }
        'Exists|NameInUse' { 'already-exists'; break }
        'InvalidPassword|PasswordRestriction' { 'policy'; break }
        'AccessDenied|UnauthorizedAccess' { 'denied'; break }
        'InvalidName|InvalidValue|ParameterBinding' { 'invalid'; break }
        default { 'rejected' }
    }
    $native = @{ code = '0x{0:x8}' -f $Exception.HResult; text = $Exception.Message }
    @{ kind = $kind; message = $Exception.Message; native = $native }
}

function Test-Has($Object, [string] $Name) {
    $null -ne $Object -and $Object.PSObject.Properties.Name -contains $Name
}

# A password as the cmdlets take it. Nothing else is done with its text.
function ConvertTo-Secure($Asked) {
    $secure = New-Object System.Security.SecureString
    foreach ($character in $Asked.password.ToCharArray()) { $secure.AppendChar($character) }
    $secure.MakeReadOnly()
    $secure
}

# The one account or group that is asked for, by its name or its SID.
function Find-Object($Asked) {
    $of = if ($Asked.class -eq 'group') { 'Get-LocalGroup' } else { 'Get-LocalUser' }
    if (Test-Has $Asked.object 'id') { return & $of -SID $Asked.object.id }
    $name = $Asked.object.name
    # The cmdlets would take a star for any name.
    $found = @(& $of | Where-Object { $_.Name -eq $name })
    if ($found.Count -ne 1) { throw [Refusal]::new('not-found', "there is no $($Asked.class) $name") }
    $found[0]
}

function Get-GroupsOf($User) {
    foreach ($group in Get-LocalGroup) {
        $members = try { @(Get-LocalGroupMember -SID $group.SID) } catch { @() }
        if (@($members | Where-Object { $_.SID -eq $User.SID }).Count -gt 0) { $group.Name }
    }
}

function ConvertTo-Account($User) {
    $attributes = @{ groups = @(Get-GroupsOf $User) }
    foreach ($name in $texts.Keys) {
        $text = $User.($texts[$name])
        $attributes[$name] = @(if ($text) { $text })
    }
    @{ id = $User.SID.Value; name = $User.Name; enabled = $User.Enabled; attributes = $attributes }
}

# Members of other hosts and domains are shown as they are.
function ConvertTo-Group($Group) {
    $own = "$env:COMPUTERNAME\"
    $members = @(Get-LocalGroupMember -SID $Group.SID | ForEach-Object {
            if ($_.Name.StartsWith($own)) { $_.Name.Substring($own.Length) } else { $_.Name }
        })
    $attributes = @{ members = $members; description = @($Group.Description | Where-Object { $_ }) }
    @{ id = $Group.SID.Value; name = $Group.Name; attributes = $attributes }
}

function ConvertTo-Object([string] $Class, $Found) {
    if ($Class -eq 'group') { ConvertTo-Group $Found } else { ConvertTo-Account $Found }
}

function Invoke-Test { @{ report = "local accounts of $env:COMPUTERNAME" } }

function Invoke-Schema {
    $text = { param($name) @{ name = $name; type = 'text' } }
    $list = { param($name) @{ name = $name; type = 'text'; multi_valued = $true } }
    @{
        schema = @{
            classes = @(
                @{ class = 'account'; attributes = @((& $text 'full_name'), (& $text 'description'), (& $list 'groups')) }
                @{ class = 'group'; attributes = @((& $text 'description'), (& $list 'members')) }
            )
        }
    }
}

function Invoke-Get($Asked) { @{ object = ConvertTo-Object $Asked.class (Find-Object $Asked) } }

# The same one as it now is, whatever its name.
function Get-Again([string] $Class, $Found) {
    $again = if ($Class -eq 'group') { Get-LocalGroup -SID $Found.SID } else { Get-LocalUser -SID $Found.SID }
    @{ object = ConvertTo-Object $Class $again }
}

function Invoke-Create($Asked) {
    if ($Asked.class -eq 'group') {
        $made = New-LocalGroup -Name $Asked.name
    } elseif (Test-Has $Asked 'password') {
        $made = New-LocalUser -Name $Asked.name -Password (ConvertTo-Secure $Asked) -Disabled:(-not $Asked.enabled)
    } else {
        # Without a password nobody is to log in.
        $made = New-LocalUser -Name $Asked.name -NoPassword -Disabled
    }
    try {
        foreach ($attribute in $Asked.attributes.PSObject.Properties) {
            Set-Values $Asked.class $made $attribute.Name 'replace' @($attribute.Value)
        }
    } catch {
        # All of it or nothing.
        $script:changed = $true
        if ($Asked.class -eq 'group') { Remove-LocalGroup -SID $made.SID } else { Remove-LocalUser -SID $made.SID }
        $script:changed = $false
        throw
    }
    Get-Again $Asked.class $made
}

# Who is to be a member where some are there.
function Get-Wanted([object[]] $Present, [string] $Operation, [object[]] $Values) {
    switch ($Operation) {
        'add' { $Present; $Values }
        'remove' { $Present | Where-Object { $Values -notcontains $_ } }
        default { $Values }
    }
}

function Set-Values([string] $Class, $Found, [string] $Name, [string] $Operation, [object[]] $Values) {
    if ($Class -eq 'account' -and $Name -eq 'groups') {
        $present = @(Get-GroupsOf $Found)
        $wanted = @(Get-Wanted $present $Operation $Values)
        foreach ($group in @($wanted | Where-Object { $present -notcontains $_ })) {
            Add-LocalGroupMember -Name $group -Member $Found.SID.Value
            $script:changed = $true
        }
        foreach ($group in @($present | Where-Object { $wanted -notcontains $_ })) {
            Remove-LocalGroupMember -Name $group -Member $Found.SID.Value
            $script:changed = $true
        }
        return
    }
    if ($Class -eq 'group' -and $Name -eq 'members') {
        $present = @((ConvertTo-Group $Found).attributes.members)
        $wanted = @(Get-Wanted $present $Operation $Values)
        foreach ($member in @($wanted | Where-Object { $present -notcontains $_ })) {
            Add-LocalGroupMember -SID $Found.SID -Member $member
            $script:changed = $true
        }
        foreach ($member in @($present | Where-Object { $wanted -notcontains $_ })) {
            Remove-LocalGroupMember -SID $Found.SID -Member $member
            $script:changed = $true
        }
        return
    }
    $parameter = if ($Class -eq 'account') { $texts[$Name] } elseif ($Name -eq 'description') { 'Description' }
    if (-not $parameter) { throw [Refusal]::new('invalid', "there is no attribute $Name of a $Class") }
    if ($Operation -ne 'replace' -or $Values.Count -gt 1) { throw [Refusal]::new('invalid', "$Name has one value: replace it") }
    $text = @{ $parameter = [string] ($Values | Select-Object -First 1) }
    if ($Class -eq 'account') { Set-LocalUser -SID $Found.SID @text } else { Set-LocalGroup -SID $Found.SID @text }
    $script:changed = $true
}

function Invoke-Update($Asked) {
    $found = Find-Object $Asked
    foreach ($change in $Asked.modifications) {
        Set-Values $Asked.class $found $change.attribute $change.operation @($change.values)
    }
    Invoke-Get $Asked
}

function Invoke-Delete($Asked) {
    $found = Find-Object $Asked
    if ($Asked.class -eq 'group') { Remove-LocalGroup -SID $found.SID } else { Remove-LocalUser -SID $found.SID }
}

function Invoke-Enable($Asked) { Enable-LocalUser -SID (Find-Object $Asked).SID; Invoke-Get $Asked }

function Invoke-Disable($Asked) { Disable-LocalUser -SID (Find-Object $Asked).SID; Invoke-Get $Asked }

function Invoke-SetPassword($Asked) { Set-LocalUser -SID (Find-Object $Asked).SID -Password (ConvertTo-Secure $Asked) }

function Invoke-Rename($Asked) {
    $found = Find-Object $Asked
    if ($Asked.class -eq 'group') {
        Rename-LocalGroup -SID $found.SID -NewName $Asked.new_name
    } else {
        Rename-LocalUser -SID $found.SID -NewName $Asked.new_name
    }
    Get-Again $Asked.class $found
}

# All of a class, in one page: a host has few. The gateway asks `get` for what a filter would tell.
function Invoke-Search($Asked) {
    if (Test-Has $Asked 'filter') { throw [Refusal]::new('unsupported', 'local accounts are listed, and not searched by a condition') }
    $found = if ($Asked.class -eq 'group') { Get-LocalGroup } else { Get-LocalUser }
    $sorted = @($found | Sort-Object { $_.SID.Value })
    $start = if (Test-Has $Asked 'cookie') { [int] ('0' + $Asked.cookie) } else { 0 }
    $size = if ((Test-Has $Asked 'page_size') -and $Asked.page_size -gt 0) { $Asked.page_size } else { $sorted.Count }
    $page = @($sorted | Select-Object -Skip $start -First $size)
    $answer = @{ objects = @($page | ForEach-Object { ConvertTo-Object $Asked.class $_ }) }
    if ($start + $page.Count -lt $sorted.Count) { $answer.next_cookie = [string] ($start + $page.Count) }
    $answer
}

Export-ModuleMember -Function Invoke-Verb
