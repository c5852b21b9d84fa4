# Stands in for Vivado: runs a constraint file and prints each thing that it names, a line each: kind, name.
# Any command that is not declared here is an error, so nothing passes unread.
foreach kind {ports cells pins nets} {
    proc get_$kind {args} [format {
        foreach arg $args {
            if {[string match -* $arg]} { error "get_%1$s: option $arg is not known to this check" }
            foreach name $arg { puts "%1$s $name" }
        }
        return $args
    } $kind]
}
proc create_clock {args} {
    array set options [lrange $args 0 end-1]
    puts "period $options(-period)"
}
proc set_false_path {args} {
    foreach {option value} $args {
        if {$option ni {-from -to -through}} { error "set_false_path: $option is not known to this check" }
        if {$value eq ""} { error "set_false_path: $option names nothing" }
    }
}
source [lindex $argv 0]
