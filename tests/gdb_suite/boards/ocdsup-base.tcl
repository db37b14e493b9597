# What both boards share: this very machine, the installed gdbserver, and the way to it.
#
# With OCDSUP_FRONT in the environment (a command line) every gdbserver that a test starts gets an `ocdsup front`, and GDB is
# given the front's port instead of the server's. Nothing else differs, and the tests themselves do not know.

process_multilib_options ""

set_board_info compiler [find_gcc]
set_board_info gdb_server_prog [auto_execok gdbserver]
set_board_info exit_is_reliable 1
# A stub without file I/O of the target: the program's output goes to gdbserver's terminal.
set_board_info gdb,nofileio 1

# The program and the libraries are those of this machine; a GDB that finds no server must not start the program by itself.
set GDBFLAGS "${GDBFLAGS} -iex \"set sysroot\" -iex \"set auto-connect-native-target off\""

# DejaGnu takes a board of another name than the host's for another machine.
global board board_info
set board_info([lindex [split $board "/"] 0],isremote) 0

# The last few are kept: a server that has just ended may have words under way, and some tests use two servers.
set front_ids {}

proc front_end { keep } {
    global front_ids
    while { [llength $front_ids] > $keep } {
        set front_ids [lassign $front_ids old]
        catch { exec kill -TERM [exp_pid -i $old] }
        catch { close -i $old }
        catch { wait -i $old }
    }
}

proc front_address { host port } {
    global env front_ids
    front_end 3
    eval spawn -noecho $env(OCDSUP_FRONT) 127.0.0.1:$port
    set id $spawn_id
    expect {
        -i $id
        -timeout 60
        -re {Listening on port ([0-9]+) for gdb connections} { set port $expect_out(1,string) }
        default { error "ocdsup front did not listen" }
    }
    # Nothing more is read: a front says nothing but that line.
    lappend front_ids $id
    return "localhost:$port"
}

if { [info exists env(OCDSUP_FRONT)] } {
    set_board_info gdb,get_remote_address front_address
}
