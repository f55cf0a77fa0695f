Import-Module "$PSScriptRoot\lib\LocalAccounts.psm1"; Invoke-Verb 'SetPassword'
